import { createHmac, randomBytes } from 'node:crypto';
import { AddressStandIns } from './addresses.ts';
import { NameStandIns } from './names.ts';
import { TextStandIns } from './texts.ts';

/** All stand-ins of one world. */
export interface StandIns {
  names: NameStandIns;
  addresses: AddressStandIns;
  texts: TextStandIns;
  /** Of a machine ID or a boot ID, however it is spelled. */
  id(id: string): string;
}

/** None yet. `coin` decides about addresses; random unless given. */
export function newStandIns(coin?: () => boolean): StandIns {
  const names = new NameStandIns();
  const addresses = new AddressStandIns(coin);
  const key = randomBytes(32);
  const id = (text: string) => {
    const plain = text.trim().toLowerCase().replaceAll('-', '');
    if (plain === '') return text;
    const made = createHmac('sha256', key).update(plain).digest('hex').slice(0, 32);
    return text.includes('-') ? made.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') : made;
  };
  return { names, addresses, texts: new TextStandIns(addresses, names), id };
}
