import type {
  ContainerConfig,
  CriContainer,
  CriContainerStatus,
  CriImage,
  CriSandbox,
  CriSandboxStatus,
  RuntimeCondition,
  SandboxConfig,
} from './messages.ts';

/** What {@link Runtime.exec} and {@link Runtime.attach} connect. */
export interface Streams {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  tty: boolean;
}

export interface ExecSyncResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export interface RegistryAuth {
  username?: string;
  password?: string;
  auth?: string;
  identityToken?: string;
  registryToken?: string;
}

/** Something happened to a container or to a sandbox's own container. */
export interface RuntimeEvent {
  /** ID of the container or of the sandbox. */
  containerId: string;
  kind: 'started' | 'exited';
}

/**
 * The container runtime as the kubelet sees it: CRI v1's two services, one method a call. Every method rejects with
 * {@link RuntimeError} when the runtime says no. Stops and removals of what is already gone succeed (CRI asks for that).
 */
export interface Runtime {
  version(): Promise<{ name: string; version: string }>;
  /** RuntimeReady and NetworkReady. */
  conditions(): Promise<RuntimeCondition[]>;

  runSandbox(config: SandboxConfig, signal?: AbortSignal): Promise<string>;
  stopSandbox(id: string): Promise<void>;
  removeSandbox(id: string): Promise<void>;
  /** All sandboxes, or those that carry all of these labels. */
  listSandboxes(labels?: Record<string, string>): Promise<CriSandbox[]>;
  /** Undefined when there is no such sandbox. */
  sandboxStatus(id: string): Promise<CriSandboxStatus | undefined>;

  createContainer(
    sandboxId: string,
    config: ContainerConfig,
    sandboxConfig: SandboxConfig,
    signal?: AbortSignal,
  ): Promise<string>;
  startContainer(id: string, signal?: AbortSignal): Promise<void>;
  /** Sends the image's stop signal and SIGKILL after `graceSeconds`; resolves when the container has ended. */
  stopContainer(id: string, graceSeconds: number, signal?: AbortSignal): Promise<void>;
  removeContainer(id: string): Promise<void>;
  listContainers(labels?: Record<string, string>): Promise<CriContainer[]>;
  /** Undefined when there is no such container. */
  containerStatus(id: string): Promise<CriContainerStatus | undefined>;
  reopenLog(id: string): Promise<void>;

  /** Runs a command to its end. A non-zero exit is a result, not an error; passing `timeoutSeconds` (0: none) is. */
  execSync(id: string, command: readonly string[], timeoutSeconds: number): Promise<ExecSyncResult>;
  /** URL of the runtime's streaming server, good for one connection. */
  exec(id: string, command: readonly string[], streams: Streams): Promise<string>;
  attach(id: string, streams: Streams): Promise<string>;
  portForward(sandboxId: string, ports: readonly number[]): Promise<string>;

  listImages(): Promise<CriImage[]>;
  /** Undefined when the image is not on the node. */
  imageStatus(image: string): Promise<CriImage | undefined>;
  /** Pulls an image and returns its reference (a digest or an image ID). */
  pullImage(image: string, auth?: RegistryAuth, signal?: AbortSignal): Promise<string>;
  removeImage(image: string): Promise<void>;

  /** Events from now on, until the signal aborts; throws when the stream breaks. `onOpen` is called once it listens. */
  events(signal: AbortSignal, onOpen?: () => void): AsyncIterable<RuntimeEvent>;
}

/** The names of gRPC's status codes as Go prints them, by number. https://grpc.io/docs/guides/status-codes/ */
const CODE_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

export type CodeName = (typeof CODE_NAMES)[number];

/** What the runtime answered instead of doing what it was asked; the message is worded as a Go kubelet would log it. */
export class RuntimeError extends Error {
  readonly code: CodeName;
  /** The runtime's own words, unchanged. */
  readonly details: string;

  constructor(code: CodeName | number, details: string) {
    const name = typeof code === 'number' ? (CODE_NAMES[code] ?? 'Unknown') : code;
    super(`rpc error: code = ${name} desc = ${details}`);
    this.name = 'RuntimeError';
    this.code = name;
    this.details = details;
  }
}
