// Package stage is a browser, a phone and a service: it plays the people around
// Vigie, through the doors that they use. Stories, the demo, the terminal phone
// and benchmarks are made of it.
package stage
