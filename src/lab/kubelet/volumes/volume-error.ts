/** A volume cannot be made (yet); the message is what the FailedMount event says. */
export class VolumeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'VolumeError';
  }
}
