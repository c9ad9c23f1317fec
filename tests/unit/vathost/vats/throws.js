export function buildRootObject() {
  throw TypeError('not today');
}
