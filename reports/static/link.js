// The address's fragment, in which a view can be shared: #s=<task>/<id> is one sample, #v?<key>=<value>&... a view of
// the page, with s= among its keys where it shows a sample too.
"use strict";

const ReportLink = (() => {
  function read() {
    const hash = location.hash;
    const view = new URLSearchParams(hash.startsWith("#v?") ? hash.slice(3) : "");
    const sample = hash.startsWith("#s=") ? hash.slice(3) : view.get("s");
    view.delete("s");
    return { view, sample };
  }

  function address(changes, sample) {
    const { view, sample: current } = read();
    for (const [key, value] of Object.entries(changes)) {
      if (value) view.set(key, value);
      else view.delete(key);
    }
    const shown = sample === undefined ? current : sample;
    if (![...view].length) return shown ? `#s=${shown}` : "";
    if (shown) view.set("s", shown);
    return `#v?${view}`;
  }

  // Replaces the address without a step in the history; `changes` of the view, and a sample where one is chosen.
  function write(changes, sample) {
    const fragment = address(changes, sample);
    try {
      history.replaceState(null, "", fragment || location.href.split("#")[0]);
    } catch {
      location.hash = fragment; // pages opened from a file may not replace it
    }
  }

  // A fragment of somebody's making may not be decodable.
  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  const keyOf = (task, id) => `${encodeURIComponent(task)}/${encodeURIComponent(id)}`;

  function splitKey(key) {
    const match = /^([^/]*)\/(.*)$/.exec(key || "");
    return match && { task: decoded(match[1]), id: decoded(match[2]) };
  }

  return { read, address, write, decoded, keyOf, splitKey };
})();
