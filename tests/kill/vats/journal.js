// What happened to a vat, in order, until somebody has read it. Reading is asked for by position, so that it can be asked again: only what
// lies before the position is let go.
export const makeJournal = () => {
  let first = 0;
  let entries = [];
  return harden({
    add: entry => {
      entries.push(entry);
    },
    page: from => {
      entries = entries.slice(Math.max(0, from - first));
      first = Math.max(first, from);
      return harden({ from: first, entries: entries.slice(0, 400), more: entries.length > 400 });
    },
  });
};
