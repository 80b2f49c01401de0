const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
/** What is stored has no finer part than a nano; finer ones are rounded away from zero. */
const NANO_DIGITS = 9;
const QUANTITY = /^([+-]?)(\d*)\.?(\d*)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?$/;

/**
 * A quantity as Kubernetes writes it: no fraction, the greatest suffix that allows that, in the family of suffixes it came
 * with (`0.5` is `500m`, `1000m` is `1`, `1.5Gi` is `1536Mi`). Binary suffixes are for 1024 and more. Text that is no
 * quantity is returned as it is: validation has words for it.
 * Source: "Quantity" in the Kubernetes API reference.
 */
export function canonicalQuantity(text: string): string {
  const match = QUANTITY.exec(text);
  const [, sign, whole = '', fraction = '', binary, decimal, power] = match ?? [];
  if (match === null || whole + fraction === '') return text;
  const exponent = power !== undefined ? Number(power) : decimal ? 3 * DECIMAL.indexOf(decimal) - 9 : 0;
  // Beyond the greatest number that a quantity can have there is nothing to write shorter.
  if (Math.abs(exponent) > 30) return text;
  const factor = binary === undefined ? 1n : 1024n ** BigInt(BINARY.indexOf(binary));
  const nanos = scaled(BigInt(whole + fraction) * factor, exponent + NANO_DIGITS - fraction.length);
  const minus = sign === '-' && nanos !== 0n ? '-' : '';
  if (binary !== undefined && nanos >= 1024n * 10n ** 9n)
    return minus + inBinary(scaled(nanos, -NANO_DIGITS));
  return minus + inDecimal(nanos, power !== undefined);
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
