/** Kubernetes quantities as numbers. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
const SUFFIXES: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

function parse(text: string): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z]*)$/.exec(text);
  const scale = SUFFIXES[match?.[2] ?? '?'];
  if (match === null || scale === undefined) throw new Error(`not a quantity: ${JSON.stringify(text)}`);
  return Number(match[1]) * scale;
}

/** Bytes (or whatever is counted), rounded up to a whole one. */
export function quantityBytes(text: string): number {
  return Math.ceil(parse(text));
}

/** Thousandths of a CPU, rounded up to a whole one. */
export function milliCpu(text: string): number {
  return Math.ceil(Number((parse(text) * 1000).toPrecision(12)));
}
