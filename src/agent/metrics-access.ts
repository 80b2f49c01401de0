import { createHash } from 'node:crypto';
import type { ApiClient } from '../kube/client.ts';
import type { Resource } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { type Clock, realClock } from '../sys/clock.ts';

type TokenReview = KubeObject & {
  spec: { token: string };
  status?: {
    authenticated?: boolean;
    user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  };
};

const tokenReviews: Resource<TokenReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};

type AccessReview = KubeObject & { spec: object; status?: { allowed?: boolean } };

const accessReviews: Resource<AccessReview> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
};

/** What is known of who asks: it may, it may not, or it is nobody. `busy`: too many ask at once, or too often. */
export type Access = 'allowed' | 'forbidden' | 'nobody' | 'busy';

/** How long an answer holds, in milliseconds; as long as Prometheus' usual interval, so that one scrape is one review at most. */
const ALLOWED_MS = 60_000;
const REFUSED_MS = 10_000;
/** Anybody may send tokens: how many answers of either kind are remembered, and how many reviews of unknown tokens are under way. */
const MAX_REMEMBERED = 64;
const MAX_REVIEWS = 4;
/** How many unknown tokens are reviewed at once after a pause, and then how many milliseconds apart. */
const BURST = 10;
const REVIEW_INTERVAL_MS = 1000;
/** No token is longer: what is sent on to the API must be bounded, in characters. */
const MAX_TOKEN = 16 * 1024;

/**
 * Whether who asks may read a path, as the API server decides by its token: TokenReview, then SubjectAccessReview of a `get` of that path, as
 * with the metrics of Kubernetes' own components. Rejects when the API cannot be asked. Who was allowed is not crowded out by others: their answers
 * are remembered apart, and their tokens are reviewed at a limited rate.
 */
export class MetricsAccess {
  readonly #client: ApiClient;
  readonly #clock: Clock;
  /**
   * By digest of token and path; no token is kept. Of those that were allowed, the time is kept when it is over, too: they are reviewed again ahead
   * of others.
   */
  readonly #allowed = new Map<string, Remembered>();
  readonly #refused = new Map<string, Remembered>();
  readonly #underWay = new Map<string, Promise<Access>>();
  #unknownUnderWay = 0;
  /** When the next unknown token would be reviewed, if all came evenly (GCRA). */
  #nextReview = Number.NEGATIVE_INFINITY;

  constructor(client: ApiClient, clock: Clock = realClock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** @param authorization the header of that name. */
  async of(authorization: string | null, path: string): Promise<Access> {
    const token = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined || token.length > MAX_TOKEN) return 'nobody';
    const key = createHash('sha256').update(`${path}\0${token}`).digest('base64');
    const known = this.#allowed.get(key) ?? this.#refused.get(key);
    if (known !== undefined && known.until > this.#clock.monotonic()) return known.access;
    const waiting = this.#underWay.get(key);
    if (waiting !== undefined) return waiting;
    const isUnknown = !this.#allowed.has(key);
    if (isUnknown && !this.#mayReview()) return 'busy';
    if (isUnknown) this.#unknownUnderWay++;
    const review = this.#review(token, path);
    this.#underWay.set(key, review);
    try {
      const access = await review;
      this.#remember(key, access);
      return access;
    } finally {
      this.#underWay.delete(key);
      if (isUnknown) this.#unknownUnderWay--;
    }
  }

  /** Whether one more unknown token may be reviewed now, which is counted. */
  #mayReview(): boolean {
    if (this.#unknownUnderWay >= MAX_REVIEWS) return false;
    const now = this.#clock.monotonic();
    const ahead = Math.max(this.#nextReview - now, 0);
    const isOften = ahead > (BURST - 1) * REVIEW_INTERVAL_MS;
    this.#nextReview = now + ahead + (isOften ? 0 : REVIEW_INTERVAL_MS);
    return !isOften;
  }

  async #review(token: string, path: string): Promise<Access> {
    const { status } = await this.#client.create(tokenReviews, { spec: { token } });
    const { username, uid, groups = [], extra } = status?.user ?? {};
    if (status?.authenticated !== true || username === undefined || username === '') return 'nobody';
    const asked = {
      user: username,
      groups,
      ...(uid !== undefined && { uid }),
      ...(extra !== undefined && { extra }),
      nonResourceAttributes: { path, verb: 'get' },
    };
    const answer = await this.#client.create(accessReviews, { spec: asked });
    return answer.status?.allowed === true ? 'allowed' : 'forbidden';
  }

  #remember(key: string, access: Access): void {
    this.#allowed.delete(key);
    this.#refused.delete(key);
    const [answers, ms] = access === 'allowed' ? [this.#allowed, ALLOWED_MS] : [this.#refused, REFUSED_MS];
    const oldest = answers.keys().next();
    if (answers.size >= MAX_REMEMBERED && !oldest.done) answers.delete(oldest.value);
    answers.set(key, { access, until: this.#clock.monotonic() + ms });
  }
}

interface Remembered {
  access: Access;
  /** By {@link Clock.monotonic}. */
  until: number;
}
