// Package outgoing calls addresses that strangers chose, without becoming their tool.
//
// A phone registers the address of its push service, a service registers where it wants to hear of a logout: our server
// then calls a URL that somebody else wrote (server-side request forgery, CWE-918). The client made here calls https on
// port 443 only, only hosts on the caller's list, and only addresses of the public internet. The address is judged when
// the connection is made, after the name was resolved, so a name that changes its mind in between gains nothing. It
// follows no redirect, uses no proxy, and reads little of what it is told.
package outgoing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefused is what a caller finds, with errors.Is, in the error of a call that this package did not make. The text of
// the error says why. Trying again changes nothing.
var ErrRefused = errors.New("outgoing call refused")

// Limits of every call.
const (
	DefaultTimeout = 10 * time.Second // of a whole call, answer included, where Options.Timeout is zero
	MaxBody        = 64 << 10         // bytes of an answer's body; reading on gives *http.MaxBytesError
	maxHeader      = 16 << 10         // bytes of an answer's header
	maxPerHost     = 64               // connections to one host, so that a slow one holds few of ours
)

// Options say whom a client may call. The zero value calls any public host.
type Options struct {
	// Hosts lists the host names that may be called: "push.example.org", or "*.example.org" for every name below it
	// (and not for example.org itself). Empty: any name.
	Hosts []string

	// AllowLoopback adds this machine, for tests and the demo: http and any port, whatever Hosts says, on "localhost" and
	// on literal loopback addresses. Any other name that resolves to a loopback address stays refused.
	AllowLoopback bool

	// AnyPort lifts the rule that only port 443 is called. It is for addresses that an operator approved.
	AnyPort bool

	// Roots are the certificate authorities that are trusted. Nil: those of the system.
	Roots *x509.CertPool

	// Timeout bounds a whole call. Zero: DefaultTimeout.
	Timeout time.Duration
}

// Client makes the client for what o allows. It keeps connections alive and is meant to be shared. A redirect is handed
// back as the answer that it is.
func Client(o Options) *http.Client { return client(o, nil) }

func client(o Options, resolver *net.Resolver) *http.Client {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &transport{o, &http.Transport{
			Proxy:                  nil, // a proxy would connect for us, to addresses that we never see
			DialContext:            dialer{o, resolver, timeout}.dial,
			TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // an answer is as long as it looks
			MaxResponseHeaderBytes: maxHeader,
			MaxConnsPerHost:        maxPerHost,
			MaxIdleConnsPerHost:    maxPerHost / 2,
			MaxIdleConns:           256,
			IdleConnTimeout:        90 * time.Second,
		}},
	}
}

// transport judges the URL of every request, also of those that did not come through CheckURL, and cuts long answers.
type transport struct {
	options Options
	http    *http.Transport
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.options.check(r.URL); err != nil {
		if r.Body != nil {
			r.Body.Close() // a RoundTripper must, also when it fails
		}
		return nil, err
	}
	answer, err := t.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, MaxBody)
	return answer, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (t *transport) CloseIdleConnections() { t.http.CloseIdleConnections() }

// Discard reads what little a caller that does not care must read of an answer so that the connection can serve again,
// and closes it.
func Discard(body io.ReadCloser) {
	io.CopyN(io.Discard, body, 4<<10)
	body.Close()
}

type dialer struct {
	options  Options
	resolver *net.Resolver
	timeout  time.Duration
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	judge := public
	if d.options.AllowLoopback && isLoopbackName(host) {
		judge = loopback
	}
	n := net.Dialer{
		Timeout:  d.timeout,
		Resolver: d.resolver,
		// Control sees every address that the name gave, on its way into connect(2): there is no later look-up.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrRefused, err)
			}
			if network != "tcp4" && network != "tcp6" {
				return fmt.Errorf("%w: network %s", ErrRefused, network)
			}
			return judge(to.Addr())
		},
	}
	return n.DialContext(ctx, network, address)
}
