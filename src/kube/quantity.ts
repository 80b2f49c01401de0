const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
/** What is stored has no finer part than a nano; finer ones are rounded away from zero. */
const NANO_DIGITS = 9;
const QUANTITY = /^([+-]?)(\d*)\.?(\d*)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?$/;

/** No quantity has a greater power of ten: beyond it values are only ever compared, and are all the same. */
const MAX_EXPONENT = 30;

interface Parsed {
  minus: boolean;
  /** How many billionths it is, without the sign. */
  nanos: bigint;
  family: 'binary' | 'decimal' | 'power';
  /** Its power of ten as written, which may be beyond what `nanos` has. */
  exponent: number;
}

function parse(text: string): Parsed | undefined {
  const match = QUANTITY.exec(text);
  const [, sign, whole = '', fraction = '', binary, decimal, power] = match ?? [];
  if (match === null || whole + fraction === '') return undefined;
  const exponent = power !== undefined ? Number(power) : decimal ? 3 * DECIMAL.indexOf(decimal) - 9 : 0;
  const factor = binary === undefined ? 1n : 1024n ** BigInt(BINARY.indexOf(binary));
  const bounded = Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, exponent));
  const nanos = scaled(BigInt(whole + fraction) * factor, bounded + NANO_DIGITS - fraction.length);
  const family = binary !== undefined ? 'binary' : power !== undefined ? 'power' : 'decimal';
  return { minus: sign === '-' && nanos !== 0n, nanos, family, exponent };
}

/** Billionths of whatever a quantity counts, exact but for what is finer. @throws when it is not a quantity */
export function quantityNanos(quantity: string | number): bigint {
  const parsed = parse(String(quantity));
  if (parsed === undefined) throw new Error(`not a quantity: ${JSON.stringify(quantity)}`);
  return parsed.minus ? -parsed.nanos : parsed.nanos;
}

/** A quantity in whole units (bytes, pods), rounded away from zero. @throws when it is not a quantity */
export function quantityUnits(quantity: string | number): number {
  return inUnitsOf(NANO_DIGITS, quantityNanos(quantity));
}

/** A quantity in thousandths (of a CPU), rounded away from zero. @throws when it is not a quantity */
export function quantityMillis(quantity: string | number): number {
  return inUnitsOf(NANO_DIGITS - 3, quantityNanos(quantity));
}

function inUnitsOf(digits: number, nanos: bigint): number {
  return nanos < 0n ? -Number(scaled(-nanos, -digits)) : Number(scaled(nanos, -digits));
}

/**
 * A quantity as Kubernetes writes it: no fraction, the greatest suffix that allows that, in the family of suffixes it came
 * with (`0.5` is `500m`, `1000m` is `1`, `1.5Gi` is `1536Mi`). Binary suffixes are for 1024 and more. Text that is no
 * quantity is returned as it is: validation has words for it.
 * Source: "Quantity" in the Kubernetes API reference.
 */
export function canonicalQuantity(text: string): string {
  const parsed = parse(text);
  // Beyond the greatest number that a quantity can have there is nothing to write shorter.
  if (parsed === undefined || Math.abs(parsed.exponent) > MAX_EXPONENT) return text;
  const { nanos, family } = parsed;
  const minus = parsed.minus ? '-' : '';
  if (family === 'binary' && nanos >= 1024n * 10n ** 9n) return minus + inBinary(scaled(nanos, -NANO_DIGITS));
  return minus + inDecimal(nanos, family === 'power');
}

/** `value` times ten to the `exponent`, rounded up. */
function scaled(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  return (value + divisor - 1n) / divisor;
}

function inBinary(value: bigint): string {
  let suffix = 0;
  let rest = value;
  while (rest % 1024n === 0n && suffix < BINARY.length - 1) {
    rest /= 1024n;
    suffix += 1;
  }
  return `${rest}${BINARY[suffix]}`;
}

function inDecimal(nanos: bigint, asPower: boolean): string {
  if (nanos === 0n) return '0';
  let suffix = 0;
  let rest = nanos;
  while (rest % 1000n === 0n && suffix < DECIMAL.length - 1) {
    rest /= 1000n;
    suffix += 1;
  }
  const exponent = 3 * suffix - NANO_DIGITS;
  if (!asPower) return `${rest}${DECIMAL[suffix]}`;
  return exponent === 0 ? `${rest}` : `${rest}e${exponent}`;
}
