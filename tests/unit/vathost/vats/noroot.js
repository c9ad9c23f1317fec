export const build = 1;
export const other = 2;
