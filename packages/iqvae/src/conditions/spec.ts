export {
  type AudioSpec,
  type ConditionKind,
  type ConditionSpec,
  conditionLength,
  conditionPlanes,
  conditionShape,
  type KeyPointSpec,
  type LayoutSpec,
  type Rgb,
  type SemanticClass,
  type SemanticSpec,
  type TextSpec,
} from "@iqvae/runtime";
