// Editors as their users set them up for Yjs, bound to documents in a window without a screen.
// `bind(doc, awareness, provider)` gives `{ type(words), text(), destroy() }`: typing at the start, as
// the editor's own commands do it, and the text that it shows.
import { place } from './editors-window.mjs'

const proseMirror = async () => {
  const [{ EditorState }, { EditorView }, { schema }, y] = await Promise.all([
    import('prosemirror-state'),
    import('prosemirror-view'),
    import('prosemirror-schema-basic'),
    import('y-prosemirror')
  ])
  return (doc, awareness) => {
    const fragment = doc.getXmlFragment('prosemirror')
    const plugins = [y.ySyncPlugin(fragment), y.yCursorPlugin(awareness), y.yUndoPlugin()]
    const view = new EditorView(place(), { state: EditorState.create({ schema, plugins }) })
    return {
      type: (words) => view.dispatch(view.state.tr.insertText(words, 1)),
      text: () => view.state.doc.textContent,
      destroy: () => view.destroy()
    }
  }
}

const tipTap = async () => {
  const modules = await Promise.all([
    import('@tiptap/extension-document'),
    import('@tiptap/extension-paragraph'),
    import('@tiptap/extension-text')
  ])
  const { Editor } = await import('@tiptap/core')
  const { Collaboration } = await import('@tiptap/extension-collaboration')
  return (document) => {
    const extensions = modules.map((module) => module.default)
    const editor = new Editor({
      element: place(),
      extensions: [...extensions, Collaboration.configure({ document })]
    })
    return {
      type: (words) => editor.commands.insertContentAt(1, words),
      text: () => editor.getText(),
      destroy: () => editor.destroy()
    }
  }
}

const monaco = async () => {
  const { MonacoBinding } = await import('y-monaco')
  const { editor: monacoEditor, Range } = await import('monaco-editor/esm/vs/editor/editor.api.js')
  return (doc, awareness) => {
    const model = monacoEditor.createModel('', 'plaintext')
    const editor = monacoEditor.create(place(), { model, minimap: { enabled: false } })
    const binding = new MonacoBinding(doc.getText('monaco'), model, new Set([editor]), awareness)
    return {
      type: (text) => editor.executeEdits('test', [{ range: new Range(1, 1, 1, 1), text }]),
      text: () => editor.getValue(),
      destroy() {
        binding.destroy()
        editor.dispose()
        model.dispose()
      }
    }
  }
}

const quill = async () => {
  const { default: Quill } = await import('quill')
  const { default: QuillCursors } = await import('quill-cursors')
  const { QuillBinding } = await import('y-quill')
  // Again for each family.
  Quill.register('modules/cursors', QuillCursors, true)
  return (doc, awareness) => {
    const editor = new Quill(place(), { modules: { cursors: true } })
    const binding = new QuillBinding(doc.getText('quill'), editor, awareness)
    return {
      type: (words) => editor.insertText(0, words, 'user'),
      text: () => editor.getText().trimEnd(),
      destroy: () => binding.destroy()
    }
  }
}

const lexical = async () => {
  const { $createParagraphNode, $createTextNode, $getRoot, createEditor } = await import('lexical')
  const y = await import('@lexical/yjs')
  const { UndoManager } = await import('yjs')
  return (doc, awareness, provider) => {
    const editor = createEditor({ onError: (error) => assertNever(error) })
    editor.setRootElement(place())
    const binding = y.createBinding(editor, provider, 'lexical', doc, new Map([['lexical', doc]]))
    const root = binding.root.getSharedType()
    const observe = (events, { origin }) => {
      if (origin === binding) return
      const isUndo = origin instanceof UndoManager
      y.syncYjsChangesToLexical(binding, provider, events, isUndo)
    }
    root.observeDeep(observe)
    const stop = editor.registerUpdateListener((update) => {
      if (update.tags.has('skip-collab')) return
      const { prevEditorState, editorState, dirtyElements, dirtyLeaves, normalizedNodes, tags } =
        update
      y.syncLexicalUpdateToYjs(
        binding,
        provider,
        prevEditorState,
        editorState,
        dirtyElements,
        dirtyLeaves,
        normalizedNodes,
        tags
      )
    })
    return {
      type: (words) =>
        editor.update(
          () => {
            const first = $getRoot().getFirstChild() ?? $createParagraphNode()
            if (!first.isAttached()) $getRoot().append(first)
            const [text] = first.getAllTextNodes()
            if (text) text.setTextContent(words + text.getTextContent())
            else first.append($createTextNode(words))
          },
          { discrete: true }
        ),
      text: () => editor.getEditorState().read(() => $getRoot().getTextContent()),
      destroy() {
        stop()
        root.unobserveDeep(observe)
        editor.setRootElement(null)
      }
    }
  }
}

const assertNever = (error) => {
  throw error
}

/** By name, with the versions of the packages that bind them to Yjs. */
export const EDITORS = {
  'y-prosemirror 1.3.7': proseMirror,
  'TipTap 3.34.0': tipTap,
  'y-monaco 0.1.6': monaco,
  'y-quill 1.0.0': quill,
  '@lexical/yjs 0.52.0': lexical
}
