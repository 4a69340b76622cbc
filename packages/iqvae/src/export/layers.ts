import { type ConvLayer, GROUP_EPSILON, GROUPS, LAYER_EPSILON, type Layer, type NormLayer } from "@iqvae/runtime";
import { type Graph, real, type Value } from "./graph.ts";

/** `y = x Wᵀ + b`: `[…, in] → […, out]`. `name` is the layer's. */
export function linear(graph: Graph, name: string, x: Value, { bias = true } = {}): Value {
  const product = graph.op("MatMul", [x, transposed(graph, graph.weight(`${name}.weight`))]);
  return bias ? graph.op("Add", [product, graph.weight(`${name}.bias`)]) : product;
}

/** `[n, m] → [m, n]`; of a weight it is done once, when the graph is loaded. */
export function transposed(graph: Graph, matrix: Value): Value {
  return graph.op("Transpose", [matrix], { perm: [1, 0] });
}

/** Normalizes the last dimension. */
export function layerNorm(graph: Graph, name: string, x: Value): Value {
  const inputs = [x, graph.weight(`${name}.weight`), graph.weight(`${name}.bias`)];
  return graph.op("LayerNormalization", inputs, { axis: -1, epsilon: real(LAYER_EPSILON) });
}

/** Puts planes through the layers of an encoder or of a decoder: `[B, C, H, W]` → `[B, C′, H′, W′]`. */
export function convolutional(graph: Graph, layers: readonly Layer[], planes: Value): Value {
  return layers.reduce((x, layer) => apply(graph, layer, x), planes);
}

function apply(graph: Graph, layer: Layer, x: Value): Value {
  switch (layer.kind) {
    case "conv":
      return convolution(graph, layer, x);
    case "norm":
      return groupNormSilu(graph, layer, x);
    case "residual": {
      const hidden = convolution(graph, layer.conv1, groupNormSilu(graph, layer.norm1, x));
      const change = convolution(graph, layer.conv2, groupNormSilu(graph, layer.norm2, hidden));
      return graph.op("Add", [layer.skip === null ? x : convolution(graph, layer.skip, x), change]);
    }
    case "upsample": {
      const scales = graph.floats([1, 1, ...layer.factor]);
      const repeated = graph.op("Resize", [x, "", scales], {
        mode: "nearest",
        coordinate_transformation_mode: "asymmetric",
        nearest_mode: "floor",
      });
      return convolution(graph, layer.conv, repeated);
    }
    case "shuffle": {
      const [height, width] = layer.factor;
      if (height !== width) throw new Error(`the graph of a shuffle by ${height} × ${width}: only squares are drawn`);
      return graph.op("DepthToSpace", [x], { blocksize: height, mode: "CRD" });
    }
  }
}

function convolution(graph: Graph, { name, kernel, stride, padding }: ConvLayer, x: Value): Value {
  return graph.op("Conv", [x, graph.weight(`${name}.weight`), graph.weight(`${name}.bias`)], {
    kernel_shape: kernel,
    strides: stride,
    pads: [...padding, ...padding],
  });
}

function groupNormSilu(graph: Graph, { name }: NormLayer, x: Value): Value {
  const inputs = [x, graph.weight(`${name}.weight`), graph.weight(`${name}.bias`)];
  const normal = graph.op("GroupNormalization", inputs, { num_groups: GROUPS, epsilon: real(GROUP_EPSILON) });
  return graph.op("Mul", [normal, graph.op("Sigmoid", [normal])]);
}
