import { htmlDocument, policyOf } from '../page/html.ts';
import { script, style } from './bundle.gen.ts';
import type { UiStart } from './protocol.ts';

/** The live page, and its policy: exactly this script and style, and connections to its own server alone. */
export function liveDocument(start: UiStart): { html: string; csp: string } {
  const own = { script, style, policy: ["connect-src 'self'"] };
  const html = htmlDocument({
    ...own,
    title: `hostport: ${start.title}`,
    data: start,
    withoutScript: '<p>The live page needs a browser that runs its script. Without one: hostport doctor.</p>',
  });
  return { html, csp: `${policyOf(own)}; frame-ancestors 'none'` };
}
