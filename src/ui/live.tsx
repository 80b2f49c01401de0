import { render } from 'preact';
import type { UiStart } from './protocol.ts';
import { LiveApp } from './view/live-app.tsx';

const text = document.getElementById('data')?.textContent ?? '';
render(<LiveApp start={JSON.parse(text) as UiStart} />, document.getElementById('page')!);
