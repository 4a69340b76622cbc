// Learns to write like a text, character by character: node characters.mjs FILE [STEPS]
import { readFileSync } from "node:fs";
import * as torch from "@iqvae/torch";

const [BATCH, TOKENS, WIDTH, HIDDEN, HEADS, LAYERS] = [32, 64, 128, 512, 4, 3];
class Block extends torch.Module {
  norms = [new torch.LayerNorm(WIDTH), new torch.LayerNorm(WIDTH)];
  attention = new torch.MultiheadAttention(WIDTH, HEADS, { batchFirst: true });
  mlp = new torch.Sequential(new torch.Linear(WIDTH, HIDDEN), new torch.GELU(), new torch.Linear(HIDDEN, WIDTH));
  forward(x) {
    const y = this.norms[0].forward(x);
    const z = x.add(this.attention.forward(y, y, y, { isCausal: true, needWeights: false })[0]);
    return z.add(this.mlp.forward(this.norms[1].forward(z)));
  }
}
/** Numbers of characters `[B, T]` → logits of the character after each, `[B, T, characters]`. */
export class CharacterModel extends torch.Module {
  constructor(characters) {
    super();
    this.embedding = new torch.Embedding(characters, WIDTH, { std: 0.02 });
    this.positions = torch.parameter([TOKENS, WIDTH], (table) => table.normal_(0, 0.02));
    const blocks = Array.from({ length: LAYERS }, () => new Block());
    this.layers = new torch.Sequential(...blocks, new torch.LayerNorm(WIDTH), new torch.Linear(WIDTH, characters));
  }
  forward(ids) {
    return this.layers.forward(this.embedding.forward(ids).add(this.positions.slice(0, 0, ids.shape[1])));
  }
}
/** A step on random pieces of the text `ids`; gives the loss in nats a character. */
export const trainStep = (model, optimizer, ids) =>
  torch.scope(() => {
    const starts = torch.ops.aten.randint(ids.numel() - TOKENS, [BATCH, 1]);
    const pieces = ids.take(starts.add(torch.ops.aten.arange(TOKENS + 1))); // [B, T + 1]
    optimizer.zeroGrad();
    const logits = model.forward(pieces.slice(1, 0, TOKENS));
    const loss = logits.flatten(0, 1).cross_entropy_loss(pieces.slice(1, 1).flatten());
    loss.backward();
    optimizer.step({ gradientScale: torch.clipGradNorm(model.parameters(), 1).scale });
    return loss.item();
  });
if (process.argv[1] === import.meta.filename) {
  torch.tuneProcess();
  const text = readFileSync(process.argv[2], "utf8");
  const alphabet = [...new Set(text)];
  const ids = torch.tensor(BigInt64Array.from(text, (character) => BigInt(alphabet.indexOf(character))));
  const model = new CharacterModel(alphabet.length);
  const optimizer = new torch.AdamW(model.parameters(), { lr: 1e-3 });
  for (let step = 0; step <= Number(process.argv[3] ?? 1000); step++) {
    const loss = trainStep(model, optimizer, ids);
    if (step % 50 === 0) console.log(`step ${step}: ${loss.toFixed(3)} nats a character`);
  }
  const written = [0];
  const draw = () => {
    const logits = model.forward(torch.tensor([written.slice(-TOKENS)], { dtype: "int64" }));
    return logits.select(1, -1).softmax(-1).multinomial(1).item();
  };
  while (written.length < 300) written.push(torch.noGrad(() => torch.scope(draw)));
  console.log(written.map((i) => alphabet[i]).join(""));
}
