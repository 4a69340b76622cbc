import { kindOf } from "../given.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

/** What {@link Sequential} calls one after the other: modules from tensor to tensor, or functions. */
export type Layer = (Module & { forward(x: Tensor): Tensor }) | ((x: Tensor) => Tensor);

/** Layers one after the other. Their weights are named by their places, functions counted: `0.weight`, `2.weight`. */
export class Sequential extends Module {
  readonly [place: number]: Layer;
  readonly length: number;

  constructor(...layers: Layer[]) {
    super();
    for (const layer of layers)
      if (typeof layer !== "function" && typeof layer?.forward !== "function")
        throw new TypeError(`Sequential takes layers one by one, but got ${kindOf(layer)}; spread a list: (...layers)`);
    this.length = layers.length;
    Object.assign(this, layers);
  }

  forward(x: Tensor): Tensor {
    for (let place = 0; place < this.length; place++) {
      const layer = this[place]!;
      x = typeof layer === "function" ? layer(x) : layer.forward(x);
    }
    return x;
  }
}
