// The text field: CodeMirror bound to a Yjs text, with the carets of the others. Undo is the
// document's own (it never takes back what somebody else wrote), so CodeMirror's history stays out.
import { closeBrackets, closeBracketsKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, indentWithTab } from '@codemirror/commands'
import { markdown, markdownLanguage } from '@codemirror/lang-markdown'
import { HighlightStyle, indentUnit, syntaxHighlighting } from '@codemirror/language'
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search'
import { EditorState } from '@codemirror/state'
import { drawSelection, dropCursor, EditorView, keymap, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next'
import * as Y from 'yjs'

const marks = HighlightStyle.define([
  { tag: tags.heading1, class: 'md-h1' },
  { tag: tags.heading2, class: 'md-h2' },
  { tag: [tags.heading3, tags.heading4, tags.heading5, tags.heading6], class: 'md-h3' },
  { tag: tags.strong, class: 'md-strong' },
  { tag: tags.emphasis, class: 'md-emphasis' },
  { tag: tags.strikethrough, class: 'md-strike' },
  { tag: tags.link, class: 'md-link' },
  { tag: tags.url, class: 'md-url' },
  { tag: tags.monospace, class: 'md-code' },
  { tag: tags.quote, class: 'md-quote' },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName], class: 'md-mark' }
])

/**
 * Puts an editor for `text` into `parent`. `empty` is the element shown while there is no text,
 * `describedBy` the id of the hint that says how to leave the field by keyboard. `onText(string)`
 * is called after each change. Gives `{ focus(), goTo(client) }`.
 */
export const openEditor = ({ parent, text, awareness, empty, describedBy, onText }) => {
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text.toString(),
      extensions: [
        drawSelection(),
        dropCursor(),
        closeBrackets(),
        highlightSelectionMatches(),
        indentUnit.of('  '),
        markdown({ base: markdownLanguage, completeHTMLTags: false }),
        syntaxHighlighting(marks),
        EditorView.lineWrapping,
        placeholder(() => empty),
        EditorView.contentAttributes.of({
          'aria-label': 'Text of the document',
          'aria-describedby': describedBy,
          spellcheck: 'true',
          autocapitalize: 'sentences'
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onText(update.state.doc)
        }),
        yCollab(text, awareness, { undoManager: new Y.UndoManager(text) }),
        keymap.of([
          ...closeBracketsKeymap,
          ...yUndoManagerKeymap,
          ...searchKeymap,
          ...defaultKeymap,
          indentWithTab
        ])
      ]
    })
  })
  onText(view.state.doc)
  return {
    focus: () => view.focus(),
    goTo(client) {
      const head = awareness.getStates().get(client)?.cursor?.head
      const place = head ? Y.createAbsolutePositionFromRelativePosition(head, text.doc) : null
      if (place === null || place.type !== text) return false
      view.dispatch({ effects: EditorView.scrollIntoView(place.index, { y: 'center' }) })
      return true
    }
  }
}
