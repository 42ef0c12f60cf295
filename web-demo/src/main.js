// Entry: looks at the address and shows the landing page or one document. The document's code
// (Yjs, the provider) is fetched only when a document is opened.
import '@fontsource-variable/inter/wght.css'
import '@fontsource-variable/source-serif-4/wght.css'
import '@fontsource-variable/source-serif-4/wght-italic.css'
import './style.css'
import { documentName, nameProblem } from './address.js'
import { showLanding } from './landing.js'

const app = document.getElementById('app')
const name = documentName()
const problem = name === null ? null : nameProblem(name)

if (name === null || problem !== null) {
  showLanding(app, name ?? '', problem)
} else {
  import('./document-page.js')
    .then(({ showDocument }) => showDocument(app, name))
    .catch((error) => {
      console.error(error)
      showLanding(app, name, 'The editor could not be loaded. Is the server still running?')
    })
}
