import { isIPv4, isIPv6 } from 'node:net';

/** One part of a hostname. Of a pattern of all of them, with what is optional between two, a text can be tried in too many ways. */
const LABEL = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/;

/** Formats that are checked, as github.com/go-openapi/strfmt knows them; others say nothing. */
const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  bsonobjectid: (text) => /^[0-9a-fA-F]{24}$/.test(text),
  byte: (text) => /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text),
  cidr: isCidr,
  creditcard: (text) => /^\d{13,19}$/.test(text.replaceAll(/[ -]/g, '')),
  date: (text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && isDay(text),
  'date-time': (text) =>
    /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:?\d{2})?$/.test(text) &&
    isDay(text.slice(0, 10)),
  datetime: (text) => FORMATS['date-time']!(text),
  duration: (text) => /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*(?:µs|[a-z]+))+$/i.test(text.trim()),
  email: (text) => /^[^\s@<>]+@[^\s@<>]+$/.test(text),
  hexcolor: (text) => /^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(text),
  hostname: (text) =>
    text.length <= 253 &&
    text
      .replace(/\.$/, '')
      .split('.')
      .every((label) => LABEL.test(label)),
  ipv4: isIPv4,
  ipv6: isIPv6,
  isbn: (text) => FORMATS.isbn10!(text) || FORMATS.isbn13!(text),
  isbn10: (text) => /^\d{9}[\dX]$/.test(text.replaceAll(/[ -]/g, '')),
  isbn13: (text) => /^97[89]\d{10}$/.test(text.replaceAll(/[ -]/g, '')),
  mac: (text) => /^(?:[0-9a-fA-F]{2}[:-]){5}(?:[0-9a-fA-F]{2})$/.test(text),
  password: () => true,
  rgbcolor: (text) => /^rgb\(\s*(?:\d{1,3}\s*,\s*){2}\d{1,3}\s*\)$/.test(text),
  ssn: (text) => /^\d{3}-?\d{2}-?\d{4}$/.test(text),
  uri: (text) => URL.canParse(text) || text.startsWith('/'),
  uuid: (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
  uuid3: (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
  uuid4: (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i.test(text),
  uuid5: (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i.test(text),
};

function isDay(date: string): boolean {
  const time = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(date);
}

function isCidr(text: string): boolean {
  const [address = '', prefix = '', ...rest] = text.split('/');
  if (rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false;
  return (isIPv4(address) && Number(prefix) <= 32) || (isIPv6(address) && Number(prefix) <= 128);
}

/** Whether `text` is of a format; true for a format that is not known. */
export function isOfFormat(text: string, format: string): boolean {
  return !Object.hasOwn(FORMATS, format) || FORMATS[format]!(text);
}
