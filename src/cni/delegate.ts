import { messageOf } from '../util/errors.ts';
import { decodeResult, findPlugin, invokePlugin, type PluginHost } from './invoke.ts';
import type { PluginRequest } from './plugin.ts';
import { parseResult } from './result.ts';
import type { Result } from './types.ts';

/**
 * Hands a plugin's own call on to another plugin, an IPAM plugin as a rule: it is looked for in CNI_PATH, gets the environment
 * that this plugin got (`host.env`) and the whole configuration, and what it writes to standard error is passed on.
 * https://www.cni.dev/docs/spec/#section-4-plugin-delegation
 */
export interface Delegate {
  /** Resolves with the delegate's result. When it fails its DEL is run before the error is thrown. */
  add(request: PluginRequest): Promise<Result>;
  check(request: PluginRequest): Promise<void>;
  del(request: PluginRequest): Promise<void>;
  gc(request: PluginRequest): Promise<void>;
  status(request: PluginRequest): Promise<void>;
}

/** The plugin called `type` as a delegate. An error is the delegate's own, with its code, or says why it could not be run. */
export function delegateTo(type: string, host: PluginHost): Delegate {
  const call = async (verb: string, { path, config }: PluginRequest) =>
    invokePlugin(host, findPlugin(type, path), { CNI_COMMAND: verb }, config);
  const without = (verb: string) => async (request: PluginRequest) => {
    await call(verb, request);
  };
  return {
    async add(request) {
      try {
        return parseResult(decodeResult(await call('ADD', request)), request.cniVersion);
      } catch (failure) {
        await call('DEL', request).catch((error) =>
          request.warn(`cannot clean up ${type}: ${messageOf(error)}`),
        );
        throw failure;
      }
    },
    check: without('CHECK'),
    del: without('DEL'),
    gc: without('GC'),
    status: without('STATUS'),
  };
}
