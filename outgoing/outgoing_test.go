package outgoing

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestOnlyThePublicInternetIsCalled(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "142.250.179.74": true, "2a00:1450:4007:80e::200a": true, "2606:4700::6810:85e5": true,
		"172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "100.128.0.0": true, "198.17.255.255": true,
		"2001:200::1": true, "192.88.98.255": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false,
		"127.0.0.1": false, "127.255.255.254": false, "169.254.169.254": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.0.0.8": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false,
		"198.18.0.1": false, "198.19.255.255": false, "198.51.100.7": false, "203.0.113.9": false, "224.0.0.1": false,
		"239.255.255.250": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "febf::1": false, "fec0::1": false, "fc00::1": false,
		"fd12:3456:789a::1": false, "ff02::1": false, "ff0e::1": false, "100::1": false, "2001:db8::1": false,
		"3fff::1": false, "5f00::1": false, "2001::1": false, "2001:10::1": false, "4000::1": false,

		// IPv4 inside IPv6
		"::ffff:8.8.8.8": true, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false,
		"::127.0.0.1": false, "::8.8.8.8": false, "::ffff:0:127.0.0.1": false,
		"64:ff9b::8.8.8.8": true, "64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false,
		"64:ff9b::7f00:1": false, "64:ff9b:1::8.8.8.8": false,
		"2002:7f00:1::": false, "2002:0a00:0001::1": false, "2002:808:808::1": false,
		"fe80::1%eth0": false, "2a00:1450::1%eth0": false,
	} {
		err := public(netip.MustParseAddr(address))
		if (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want allowed %v", address, err, want)
		}
	}
	if public(netip.Addr{}) == nil {
		t.Error("no address at all is allowed")
	}
}

var doorVectors = []struct {
	name, url string
	options   Options
	good      bool
}{
	{"good_any", "https://example.org/push/1?x=y", Options{}, true},
	{"good_port", "https://example.org:443/", Options{}, true},
	{"good_capitals", "HTTPS://Push.Example.ORG/a", Options{Hosts: []string{"push.example.org"}}, true},
	{"good_listed", "https://fcm.googleapis.com/fcm/send/x", Options{Hosts: []string{"fcm.googleapis.com"}}, true},
	{"good_below", "https://web.push.apple.com/QGx", Options{Hosts: []string{"*.push.apple.com"}}, true},
	{"good_deep", "https://a.b.push.apple.com/", Options{Hosts: []string{"*.push.apple.com"}}, true},
	{"good_loopback", "http://127.0.0.1:8080/p", Options{AllowLoopback: true, Hosts: []string{"example.org"}}, true},
	{"good_loopback_name", "http://localhost:1/p", Options{AllowLoopback: true}, true},
	{"good_loopback_6", "https://[::1]:8443/p", Options{AllowLoopback: true}, true},
	{"good_port_approved", "https://example.org:8443/", Options{AnyPort: true}, true},

	{"refused_empty", "", Options{}, false},
	{"refused_relative", "/push", Options{}, false},
	{"refused_no_scheme", "//example.org/", Options{}, false},
	{"refused_opaque", "https:example.org", Options{}, false},
	{"refused_http", "http://example.org/", Options{}, false},
	{"refused_http_approved_port", "http://example.org:8080/", Options{AnyPort: true}, false},
	{"refused_file", "file:///etc/passwd", Options{AllowLoopback: true}, false},
	{"refused_gopher", "gopher://localhost:70/", Options{AllowLoopback: true}, false},
	{"refused_port", "https://example.org:8443/", Options{}, false},
	{"refused_ssh", "https://example.org:22/", Options{}, false},
	{"refused_port_zero", "https://example.org:0/", Options{AnyPort: true}, false},
	{"refused_port_large", "https://example.org:65979/", Options{AnyPort: true}, false},
	{"refused_port_zeros", "https://example.org:00443/", Options{AnyPort: true}, false},
	{"refused_port_empty", "https://example.org:/", Options{}, false},
	{"refused_user", "https://user@example.org/", Options{}, false},
	{"refused_user_host", "https://fcm.googleapis.com@evil.example/", Options{Hosts: []string{"fcm.googleapis.com"}}, false},
	{"refused_backslash", `https://evil.example\@fcm.googleapis.com/`, Options{}, false},
	{"refused_space", "https://example.org/ x", Options{}, false},
	{"refused_newline", "https://example.org/\r\nHost: x", Options{}, false},
	{"refused_unicode", "https://ｅxample.org/", Options{}, false},
	{"refused_percent_host", "https://%65xample.org/", Options{}, false},
	{"refused_fragment", "https://example.org/#x", Options{}, false},
	{"refused_ipv4", "https://8.8.8.8/", Options{}, false},
	{"refused_ipv6", "https://[2a00:1450::1]/", Options{}, false},
	{"refused_zone", "http://[::1%25lo]/", Options{AllowLoopback: true}, false},
	{"refused_decimal", "https://2130706433/", Options{}, false},
	{"refused_short", "https://127.1/", Options{}, false},
	{"refused_hex", "https://0x7f.0x1/", Options{}, false},
	{"refused_label", "https://localhost/", Options{}, false},
	{"refused_dot", "https://example.org./", Options{}, false},
	{"refused_dots", "https://example..org/", Options{}, false},
	{"refused_dash", "https://-example.org/", Options{}, false},
	{"refused_underscore", "https://a_b.example.org/", Options{}, false},
	{"refused_long_label", "https://" + strings.Repeat("a", 64) + ".org/", Options{}, false},
	{"refused_long", "https://example.org/" + strings.Repeat("a", maxURL), Options{}, false},
	{"refused_parent", "https://push.apple.com/", Options{Hosts: []string{"*.push.apple.com"}}, false},
	{"refused_suffix", "https://evilpush.apple.com/", Options{Hosts: []string{"*.push.apple.com"}}, false},
	{"refused_list", "https://evil.example/", Options{Hosts: []string{"fcm.googleapis.com"}}, false},
	{"refused_longer", "https://fcm.googleapis.com.evil.example/", Options{Hosts: []string{"fcm.googleapis.com"}}, false},
	{"refused_loopback", "https://127.0.0.1/", Options{}, false},
	{"refused_loopback_rebound", "http://localhost.evil.example/", Options{AllowLoopback: true}, false},
}

func TestABadAddressIsRefusedAtTheDoor(t *testing.T) {
	for _, v := range doorVectors {
		t.Run(v.name, func(t *testing.T) {
			u, err := CheckURL(v.url, v.options)
			if v.good && (err != nil || u == nil) || !v.good && !errors.Is(err, ErrRefused) {
				t.Fatalf("%q: %v", v.url, err)
			}
		})
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, v := range doorVectors {
		f.Add(v.url)
	}
	options := Options{Hosts: []string{"fcm.googleapis.com", "*.push.apple.com"}, AllowLoopback: true}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := CheckURL(raw, options)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
			return
		}
		host := strings.ToLower(u.Hostname())
		switch {
		case isLoopbackName(u.Hostname()):
		case u.Scheme != "https", u.Port() != "" && u.Port() != "443",
			host != "fcm.googleapis.com" && !strings.HasSuffix(host, ".push.apple.com"):
			t.Fatalf("%q passed", raw)
		}
		// What is called is what was judged, however often it was written down in between.
		again, err := CheckURL(u.String(), options)
		if err != nil || again.Host != u.Host || again.RequestURI() != u.RequestURI() {
			t.Fatalf("%q became %q: %v", raw, u, err)
		}
	})
}

// victim is a server on loopback that must not be reached, behind a name whose certificate would be right.
func victim(t *testing.T) (hits *atomic.Int64, port string, roots *x509.CertPool) {
	t.Helper()
	hits = new(atomic.Int64)
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate()) // made for 127.0.0.1 and example.com
	u, _ := url.Parse(s.URL)
	return hits, u.Port(), roots
}

func TestANameThatChangesItsMindIsRefused(t *testing.T) {
	hits, port, roots := victim(t)
	address := "https://example.com:" + port + "/"
	for _, answer := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "10.0.0.1"} {
		t.Run(answer, func(t *testing.T) {
			names := &nameserver{answer: netip.MustParseAddr("93.184.215.14")}
			o := Options{AnyPort: true, AllowLoopback: true, Roots: roots}
			if _, err := CheckURL(address, o); err != nil {
				t.Fatal(err)
			}
			names.answer = netip.MustParseAddr(answer) // between the door and the call
			_, err := client(o, names.resolver()).Get(address)
			if !errors.Is(err, ErrRefused) || hits.Load() != 0 {
				t.Fatalf("%v, %d hits", err, hits.Load())
			}
			if names.asked.Load() == 0 {
				t.Fatal("the name was never resolved: the test proves nothing")
			}
		})
	}
}

func TestLocalhostIsNoWayOut(t *testing.T) {
	_, port, roots := victim(t)
	d := dialer{Options{AllowLoopback: true, Roots: roots}, (&nameserver{}).resolver(), time.Second}
	c, err := d.dial(t.Context(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := loopback(netip.MustParseAddr("192.168.0.1")); !errors.Is(err, ErrRefused) {
		t.Fatalf("localhost may lead to %v", err)
	}
}

func TestTheClientRefusesWhatTheDoorWould(t *testing.T) {
	hits, port, roots := victim(t)
	for _, address := range []string{
		"https://127.0.0.1:" + port, "http://127.0.0.1:" + port, "http://example.org/", "https://example.org:22/",
	} {
		body := &closed{Reader: strings.NewReader("x")}
		_, err := Client(Options{Roots: roots}).Post(address, "text/plain", body)
		if !errors.Is(err, ErrRefused) || hits.Load() != 0 {
			t.Errorf("%s: %v", address, err)
		}
		if !body.closed {
			t.Errorf("%s: body left open", address)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	hits, port, roots := victim(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler("https://127.0.0.1:"+port, status))
		answer, err := Client(Options{AllowLoopback: true, Roots: roots}).Post(s.URL, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		Discard(answer.Body)
		if answer.StatusCode != status || hits.Load() != 0 {
			t.Errorf("%d: answered %d, %d hits", status, answer.StatusCode, hits.Load())
		}
		s.Close()
	}
}

// A proxy would resolve and connect for us. The environment is read once in a process, so this looks at the setting itself.
func TestNoProxyIsAsked(t *testing.T) {
	if Client(Options{}).Transport.(*transport).http.Proxy != nil {
		t.Error("a proxy may be asked")
	}
}

func TestALongAnswerIsCut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
		}
		w.Write(bytes.Repeat([]byte("x"), 10*MaxBody))
	}))
	defer s.Close()
	c := Client(Options{AllowLoopback: true})
	answer, err := c.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if too := new(http.MaxBytesError); len(read) != MaxBody || !errors.As(err, &too) {
		t.Errorf("read %d bytes, %v", len(read), err)
	}
	if _, err := c.Get(s.URL + "/header"); err == nil {
		t.Error("a long header is taken")
	}
}

func TestASlowAnswerEnds(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer s.Close()
	defer close(stop)
	_, err := Client(Options{AllowLoopback: true, Timeout: 50 * time.Millisecond}).Get(s.URL)
	if u := new(url.Error); !errors.As(err, &u) || !u.Timeout() {
		t.Fatal(err)
	}
}

func TestConnectionsServeAgain(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "heard") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := Client(Options{AllowLoopback: true, Roots: roots})
	for range 10 {
		answer, err := c.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if answer.ProtoMajor != 2 {
			t.Fatalf("spoke %s", answer.Proto)
		}
		Discard(answer.Body)
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections", opened.Load())
	}
	c.CloseIdleConnections()
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }

// nameserver answers every look-up of its kind of address with one address (RFC 1035).
type nameserver struct {
	answer netip.Addr
	asked  atomic.Int64
}

func (n *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe() // a stream, so the resolver frames as over TCP
		go n.serve(theirs)
		return ours, nil
	}}
}

func (n *nameserver) serve(c net.Conn) {
	defer c.Close()
	for {
		var size uint16
		if binary.Read(c, binary.BigEndian, &size) != nil {
			return
		}
		query := make([]byte, size)
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		n.asked.Add(1)
		end := 12 + bytes.IndexByte(query[12:], 0) + 1 + 4
		kind := binary.BigEndian.Uint16(query[end-4:])
		address := n.answer.AsSlice()
		answer := append([]byte{}, query[:end]...)
		copy(answer[2:12], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
		if kind == 1 && n.answer.Is4() || kind == 28 && n.answer.Is6() {
			answer[7] = 1
			answer = append(answer, 0xc0, 12, byte(kind>>8), byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(address)))
			answer = append(answer, address...)
		}
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}
