// Other people's text in a page. Model output is hostile input: it reaches the page through text nodes only, and
// characters that hide or reorder text are shown by name.
"use strict";

const ReportText = (() => {
  // What the data holds for a text: null, the text, or [its beginning, the number of characters left out].
  const plain = (text) => (text === null ? "" : Array.isArray(text) ? text[0] : text);

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  // Control, zero-width and direction-changing characters; joiners (200C, 200D) and marks (200E, 200F) belong to scripts.
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u2028-\u202e\u2060-\u206f\ufeff]/g;

  function appendText(node, text) {
    let from = 0;
    for (const match of text.matchAll(UNSEEN)) {
      node.append(text.slice(from, match.index));
      const code = "U+" + match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      node.append(make("span", { className: "unseen", title: "an invisible character" }, code));
      from = match.index + match[0].length;
    }
    node.append(text.slice(from));
    return node;
  }

  function languageOf(text) {
    if (/[\u3040-\u30ff]/.test(text)) return "ja";
    if (/[\uac00-\ud7af]/.test(text)) return "ko";
    if (/[\u4e00-\u9fff]/.test(text)) return "zh";
    if (/[\u0590-\u05ff]/.test(text)) return "he";
    return /[\u0600-\u06ff]/.test(text) ? "ar" : "";
  }

  // A block of someone else's text. `parts` are [text, marked] pieces where the words are to be compared.
  function textBlock(text, parts = null) {
    const whole = plain(text);
    const block = make("div", { className: "text", dir: "auto" });
    const language = languageOf(whole);
    if (language) block.lang = language;
    if (!whole) {
      block.classList.add("quiet");
      block.textContent = "(empty)";
    } else if (parts) {
      for (const [piece, marked] of parts) appendText(marked ? block.appendChild(make("mark")) : block, piece);
    } else {
      appendText(block, whole);
    }
    if (Array.isArray(text)) block.append(make("span", { className: "muted" }, ` … and ${text[1].toLocaleString("en")} more characters`));
    if (block.textContent.length > 600) block.tabIndex = 0;
    return block;
  }

  // Word differences: the longest common subsequence; words that only this side has are marked.
  function compareWords(left, right) {
    const split = (text) => text.match(/[\u3400-\u9fff]|[^\s\u3400-\u9fff]+|\s+/g) || [];
    const [a, b] = [split(left), split(right)];
    if (a.length * b.length > 250000) return [null, null];
    const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      }
    }
    const [one, two] = [[], []];
    let [i, j] = [0, 0];
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        one.push([a[i++], false]);
        two.push([b[j++], false]);
      } else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) one.push([a[i++], true]);
      else two.push([b[j++], true]);
    }
    return [one, two];
  }

  return { make, plain, appendText, textBlock, compareWords, UNSEEN };
})();
