import packageJson from '../../package.json';

/** The program's version, as in package.json. */
export const VERSION: string = packageJson.version;
