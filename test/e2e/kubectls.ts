import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

const WANTED = ['1.27', '1.30', '1.33'];

/**
 * The kubectls to test with: `kubectl.1.27`, `.1.30` and `.1.33` where they lie beside the one on PATH (some distributions
 * of it bring several), else just that one.
 */
export function kubectls(): string[] {
  const plain = Bun.which('kubectl');
  if (plain === null) throw new Error('no kubectl on PATH; "make setup" installs one');
  const beside = dirname(realpathSync(plain));
  const found = WANTED.map((version) => join(beside, `kubectl.${version}`)).filter((path) =>
    existsSync(path),
  );
  return found.length > 0 ? found : [plain];
}
