package web

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
)

// line is what becomes the one log line of a request, at its end. It never
// holds a national id, a cookie, a code or a token.
type line struct {
	id     string // shown to a person whose request failed
	err    error
	status int
	bytes  int
	more   []any // pairs, as of slog
}

type lineKey struct{}

// lineOf returns the line of r, where handlers note what they did.
func lineOf(r *http.Request) *line {
	if l, ok := r.Context().Value(lineKey{}).(*line); ok {
		return l
	}
	return &line{} // a handler that is tested alone
}

// note adds pairs to the line of r.
func note(r *http.Request, pairs ...any) {
	l := lineOf(r)
	l.more = append(l.more, pairs...)
}

// logged writes one line for each request to h, when it is over.
func (s *Site) logged(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &line{id: rand.Text()[:10]}
		started := s.DB.Now()
		r = r.WithContext(context.WithValue(r.Context(), lineKey{}, l))
		defer func() {
			level := slog.LevelInfo
			pairs := []any{"method", r.Method, "route", r.Pattern, "status", l.status, "bytes", l.bytes,
				"ms", s.DB.Now().Sub(started).Milliseconds(), "address", address(r), "id", l.id}
			if l.err != nil {
				pairs = append(pairs, "error", l.err)
			}
			if l.status >= http.StatusInternalServerError {
				level = slog.LevelError
			}
			s.Log.Log(r.Context(), level, "request", append(pairs, l.more...)...)
		}()
		h.ServeHTTP(&recorder{w, l}, r)
	})
}

// recorder notes status and size of an answer on its way.
type recorder struct {
	http.ResponseWriter
	line *line
}

func (w *recorder) WriteHeader(status int) {
	if w.line.status == 0 {
		w.line.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.line.status == 0 {
		w.line.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.line.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach what is below.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
