"""Every public path of version 0.1.0 leads somewhere; what has another name by now may warn (test_deprecations.py)."""

from importlib import import_module

import pytest

NAMES = {
    "lightning_abkd.functional": """
        adaptive_kl alpha_beta_divergence alpha_beta_slope alpha_divergence beta_divergence entropy_weighted_kl
        forward_kl hellinger jensen_shannon reverse_kl skewed_forward_kl skewed_reverse_kl symmetric_kl total_variation
    """,
    "lightning_abkd.kernels": """
        AlphaBetaGrid AlphaBetaStatistics AlphaBetaSums alpha_beta_cross_entropy_rows alpha_beta_from_logits
        alpha_beta_grid alpha_beta_rows alpha_beta_statistics binary_exponents closed_form compiled_form runs_triton
    """,
    "lightning_abkd.losses": """
        CRD DIST ITRD TAID AdaptiveAlphaDivergence AdaptiveKL AlphaBetaDivergence AlphaDivergence BetaDivergence
        Comparison DecoupledDistillation DistillationLoss Divergence EntropyWeightedKL Evaluation ForwardKL HeadLoss
        Hellinger JensenShannon LargerDivergence LogitStandardization MultiLevelDistillation OutputHead ReverseKL
        SkewedForwardKL SkewedReverseKL StudentAgreement SymmetricKL TeacherUncertainty TokenRule TokenwiseAlphaBeta
        TotalVariation TransformedTeacherMatching WeightedSum WeightedTransformedTeacherMatching against_head
        evaluate_divergences head_loss loss_terms row_chunks
    """,
    "lightning_abkd.metrics": """
        ConfidenceConcentration HardnessConcentration RougeL StudentEntropy TeacherAgreement TeacherEntropy
        classification_metrics rouge_l
    """,
    "lightning_abkd.models": """
        CLIPClassifier CacheIdentity CacheStatistics PromptedCLIP SeparateHead SmallResNet TeacherCache
        TeacherCacheWriter WideResNet causal_lm causal_lm_from_config clip_classifier evaluated load_weights lora merged
        mobilenetv2 model_identity pretrained prompted_clip resnet8 resnet8x4 resnet14 resnet20 resnet32 resnet32x4
        resnet44 resnet50_cifar resnet56 resnet110 save_weights separate_head shufflenetv1 shufflenetv2 top_k_buckets
        truncated vgg8 vgg11 vgg13 vgg16 vgg19 wrn_16_1 wrn_16_2 wrn_40_1 wrn_40_2
    """,
    "lightning_abkd.data": """
        IGNORED BaseToNewDataModule CIFAR10DataModule CIFAR100DataModule DigitsDataModule FashionMNISTDataModule
        ImageDataModule ImageFolderDataModule InstructionDataModule LabelledImages Record TextSample Tokenizer
        alpaca_prompt byte_tokenizer check_same_tokens collate fingerprint image_transform read_class_names read_records
        real_vocabulary tokenizer
    """,
    "lightning_abkd.modules": """
        AdaptiveOffPolicy Answering BaseToNewModule DistillationModule LanguageDistillationModule OnPolicy Responses
        Sampling StoredTeacher
    """,
    "lightning_abkd.callbacks": """
        AlphaBetaScheduler CachedTeacher HyperparameterScheduler ResponseEvaluation ResponseWriter SavePretrained
    """,
    "lightning_abkd.diagnostics": """
        DivergenceMap divergence_map plot_alpha_beta_plane plot_curves plot_divergence_map read_metrics sweep
    """,
    "lightning_abkd.schedules": """
        Schedule Constant Linear Cosine Exponential Piecewise Sequence
    """,
    "lightning_abkd.cli": """
        main AbkdCLI
    """,
}


@pytest.mark.parametrize(("room", "name"), [(room, name) for room, names in NAMES.items() for name in names.split()])
@pytest.mark.filterwarnings("ignore:lightning_abkd.* is now .*:DeprecationWarning")
def test_a_public_path_of_version_0_1_0_leads_somewhere(room, name):
    assert getattr(import_module(room), name) is not None
