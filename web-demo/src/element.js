// Builds DOM elements. Text always goes in as text nodes: names come from other people.

/**
 * `element('button', { type: 'button', onclick, class: 'x' }, 'Save')`. Functions become listeners,
 * booleans switch an attribute, anything else is set as an attribute; null children are left out.
 */
export const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name.slice(2), value)
    else if (typeof value === 'boolean') made.toggleAttribute(name, value)
    else if (value !== null && value !== undefined) made.setAttribute(name, value)
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined))
  return made
}

const ICONS = {
  sheaf:
    'M12 2.5V21.5M8.4 3.2C8.4 8 10.9 9.6 11 13.6S9.4 19.4 8.3 21.2' +
    'M15.6 3.2C15.6 8 13.1 9.6 13 13.6' +
    'S14.6 19.4 15.7 21.2M4.8 5.6C5 9.8 9.7 10.6 10 13.6S6.8 18.8 5 20' +
    'M19.2 5.6C19 9.8 14.3 10.6 14 13.6' +
    'S17.2 18.8 19 20M8.8 13.6H15.2',
  link:
    'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1' +
    'M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1',
  sun:
    'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2.5v2M12 19.5v2M4.5 4.5l1.5 1.5M18 18l1.5 1.5' +
    'M2.5 12h2M19.5 12h2M4.5 19.5l1.5-1.5M18 6l1.5-1.5',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z',
  arrow: 'M5 12h14M13 6l6 6-6 6',
  cross: 'M6 6l12 12M18 6L6 18',
  check: 'M5 13l4 4L19 7'
}

/** A line icon; always beside or inside something that has a name. */
export const icon = (name) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  made.setAttribute('viewBox', '0 0 24 24')
  made.setAttribute('class', `icon icon-${name}`)
  made.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  path.setAttribute('d', ICONS[name])
  made.append(path)
  return made
}
