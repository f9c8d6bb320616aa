// Package web is everything people see: portal, phone app, wallet, console,
// help. Pages are plain HTML, made whole on the server before the first byte,
// in French and English; they work without script where the browser allows it.
package web
