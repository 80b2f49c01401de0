import { useRef, useState } from 'preact/hooks';
import { safeText } from '../../util/safe-text.ts';

/** A command with a button that copies it. `what` names it where only the button is heard. */
export function Command({ text, what }: { text: string; what: string }) {
  const code = useRef<HTMLElement>(null);
  const [said, setSaid] = useState('');
  const copy = async () => {
    // Where a browser does not let the page write to the clipboard, the text is selected for its own command.
    if (await isCopied(text)) return setSaid('copied');
    if (code.current !== null) getSelection()?.selectAllChildren(code.current);
    setSaid('selected: copy it with the keyboard');
  };
  return (
    <div class="command">
      <code ref={code}>{safeText(text)}</code>
      <button type="button" aria-label={`copy ${what}`} onClick={copy}>
        Copy
      </button>
      <span class="hint" role="status">
        {said}
      </span>
    </div>
  );
}

async function isCopied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
