/** Building blocks of the page. Text from the server only ever becomes text. */

/** @param {string} tag  @param {string} name  of its class  @param {string} [text]
 * @returns {HTMLElement} */
export function make(tag, name = "", text = undefined) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.append(document.createTextNode(text));
  return element;
}

/** Change the text of an element that holds nothing else, if it is another one. The text node
 * stays: nobody who watches the page for new elements is woken. */
export function setText(element, text) {
  if (!element.firstChild) element.append(document.createTextNode(text));
  else if (element.firstChild.data !== text) element.firstChild.data = text;
}
