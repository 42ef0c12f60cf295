// What this browser remembers: theme, own name, recent documents. A browser that refuses storage
// (private windows do) loses the memory and nothing else.

/** The value under `key`, or `fallback` if there is none or it can't be read. */
export const remembered = (key, fallback) => {
  try {
    const text = localStorage.getItem(key)
    return text === null ? fallback : JSON.parse(text)
  } catch {
    return fallback
  }
}

/** Keeps `value` under `key` if the browser allows it. */
export const remember = (key, value) => {
  try {
    localStorage.setItem(key, JSON.stringify(value))
  } catch {
    /* storage refused or full */
  }
}
