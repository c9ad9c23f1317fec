throw RangeError('no luck');

export const buildRootObject = () => {};
