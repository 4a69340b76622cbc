// Learns to read digits, as PyTorch's MNIST example does; they are drawn here, so nothing is downloaded: node digits.mjs [EPOCHS] [FILE]
import * as torch from "@iqvae/torch";

const { aten } = torch.ops;
/** Five rows of three dots for each digit, a row as an octal number. */
const FONT = ["75557", "26227", "71747", "71717", "55711", "74717", "74757", "71122", "75757", "75717"];
const glyphs = torch.tensor(FONT.map((rows) => [...rows].map((row) => [4, 2, 1].map((dot) => (row & dot ? 1 : 0)))));
const large = glyphs.repeat_interleave(4, 1).repeat_interleave(4, 2); // [10, 20, 12]
/** Digits of 28 × 28 pixels at any place, each of its own brightness, with noise. */
export function digits(count) {
  const classes = aten.randint(10, [count]);
  const images = aten.randn([count, 1, 28, 28]).mul(0.3);
  const [top, left] = [aten.randint(9, [count]).tolist(), aten.randint(17, [count]).tolist()];
  for (let i = 0; i < count; i++) {
    const rows = images.select(0, i).slice(1, top[i], top[i] + 20);
    rows.slice(2, left[i], left[i] + 12).add_(large.index_select(0, classes.select(0, i)).mul(aten.rand([1]).add(0.5)));
  }
  return new torch.TensorDataset(images, classes);
}
const block = (inputs, outputs) => [
  new torch.Conv2d(inputs, outputs, 3, { padding: 1 }),
  new torch.BatchNorm2d(outputs),
  new torch.ReLU(),
  new torch.MaxPool2d(2),
];
/** `[B, 1, 28, 28]` → logits `[B, 10]`. */
export class Net extends torch.Module {
  features = new torch.Sequential(...block(1, 16), ...block(16, 32));
  head = new torch.Sequential(new torch.Flatten(), new torch.Dropout(0.25), new torch.Linear(32 * 7 * 7, 10));
  forward(x) {
    return this.head.forward(this.features.forward(x));
  }
}
/** The share of digits that are read correctly. */
export function accuracy(net, loader, count) {
  net.eval();
  let right = 0;
  for (const [images, classes] of loader)
    right += torch.noGrad(() => torch.scope(() => net.forward(images).argmax(1).eq(classes).sum().item()));
  return right / count;
}
if (process.argv[1] === import.meta.filename) {
  const [epochs = 5, file = "digits.safetensors"] = process.argv.slice(2);
  torch.tuneProcess();
  torch.manualSeed(1);
  const training = new torch.DataLoader(digits(2000), { batchSize: 64, shuffle: true });
  const held = new torch.DataLoader(digits(500), { batchSize: 250 });
  const [net, criterion] = [new Net(), new torch.CrossEntropyLoss()];
  const optimizer = new torch.Adam(net.parameters(), { lr: 3e-3 });
  const scheduler = new torch.StepLR(optimizer, 1, 0.7);
  for (let epoch = 1; epoch <= epochs; epoch++) {
    net.train();
    let sum = 0;
    for (const [images, classes] of training)
      sum += torch.scope(() => {
        optimizer.zeroGrad();
        const loss = criterion.forward(net.forward(images), classes);
        loss.backward();
        optimizer.step();
        return loss.item();
      });
    scheduler.step();
    console.log(`epoch ${epoch}: loss ${(sum / training.length).toFixed(3)}, accuracy ${accuracy(net, held, 500)}`);
  }
  torch.save({ net }, file);
  const loaded = new Net();
  torch.load(file, { net: loaded });
  console.log(`loaded from ${file}: accuracy ${accuracy(loaded, held, 500)}`);
}
