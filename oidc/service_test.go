package oidc_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"vigie/audit"
	"vigie/oidc"
	"vigie/store"
	"vigie/store/storetest"
)

func eachStore(t *testing.T, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Write(t.Context(), func(tx *store.Tx) error { return f(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
	})
}

// plain is a service that can be registered.
func plain(name string) oidc.Service {
	return oidc.Service{Name: name, RedirectURIs: []string{"https://service.example/cb"}}
}

func TestAServiceIsStoredAsItWasRegistered(t *testing.T) {
	eachStore(t, func(ctx context.Context, tx *store.Tx) error {
		in := oidc.Service{Name: "  Vaccin   AmeliPRO ", RedirectURIs: []string{"https://a.example/cb?x=1", "http://127.0.0.1:8080/cb"}, LogoutURIs: []string{"https://a.example/bye"},
			FrontchannelLogout: "https://a.example/front", BackchannelLogout: "https://a.example/back", Alg: "ES256", NoPKCE: true,
			Support: "0 809 40 00 82", Security: "security@a.example", Logo: picture(t, 300, 100, "png")}
		s, secret, err := oidc.AddService(ctx, tx, in, "operator:claire")
		if err != nil {
			return err
		}
		if s.ID == "" || len(secret) < 26 || s.Name != "Vaccin AmeliPRO" || s.AuthMethod != oidc.SecretBasic || !s.Created.Equal(tx.Now) {
			t.Errorf("registered %+v", s)
		}
		got, ok, err := oidc.FindService(ctx, tx, s.ID)
		if err != nil || !ok {
			t.Fatalf("found %v: %v", ok, err)
		}
		if !slices.Equal(got.RedirectURIs, in.RedirectURIs) || !slices.Equal(got.LogoutURIs, in.LogoutURIs) || got.FrontchannelLogout != in.FrontchannelLogout ||
			got.BackchannelLogout != in.BackchannelLogout || got.Alg != "ES256" || !got.NoPKCE || got.Support != in.Support || got.Security != in.Security ||
			!bytes.Equal(got.Logo, s.Logo) || !got.Created.Equal(s.Created) || !got.Disabled.IsZero() {
			t.Errorf("stored %+v", got)
		}
		var kept string
		if err := tx.QueryRow(ctx, `SELECT secret FROM services WHERE id = $1`, s.ID).Scan(&kept); err != nil || kept == "" || strings.Contains(kept, secret) {
			t.Errorf("the secret is kept as %q (%v)", kept, err)
		}
		for i, want := range []bool{true, false} {
			if did, err := oidc.DisableService(ctx, tx, s.ID, "operator:claire"); did != want || err != nil {
				t.Errorf("disabling %d: %v, %v", i, did, err)
			}
		}
		all, err := oidc.ListServices(ctx, tx)
		if err != nil || len(all) != 1 || all[0].ID != s.ID || !all[0].Disabled.Equal(tx.Now) {
			t.Errorf("listed %+v, %v", all, err)
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM audit WHERE service = $1 AND actor = 'operator:claire' AND kind IN ($2, $3)`,
			s.ID, audit.ServiceAdded, audit.ServiceDisabled).Scan(&n); err != nil || n != 2 {
			t.Errorf("%d entries in the log, %v", n, err)
		}
		return nil
	})
}

func TestTwoServicesNeverLookTheSame(t *testing.T) {
	eachStore(t, func(ctx context.Context, tx *store.Tx) error {
		for _, name := range []string{"Vaccin AmeliPRO", "SI-DEP", "Élan 10", "HÔPITAL DU MANS"} {
			if _, _, err := oidc.AddService(ctx, tx, plain(name), "operator:t"); err != nil {
				return err
			}
		}
		for _, name := range []string{
			"Vaccin AmeliPRO", "vaccin amelipro", "VaccinAmeliPRO", "Vaccin-Améli.PRO", "Vaccin AmeIiPRO", "Vaccin Ame1iPR0",
			"Vассin AmeliPRO", // Cyrillic а с
			"Vaccin ΑmeliPRO", // Greek capital alpha
			"Ｖaccin AmeliPRO", // full width
			"Vaccin AmeliPRΟ", "Vaccin Amel𝗂PRO", "SI DEP", "S!-DEP", "SІ-DEP", "51-DEP", "Elan lO", "ÉIan IO", "ΗÔPITAL DU MANS", "HOPITAL DU ΜΑΝS", "hopital du rnans",
		} {
			if _, _, err := oidc.AddService(ctx, tx, plain(name), "operator:t"); !errors.Is(err, oidc.ErrService) {
				t.Errorf("%q was registered beside its twin: %v", name, err)
			}
		}
		for _, name := range []string{"Vaccin AmeliPRO 2", "SI-VIC", "Élan 11", "Hôpital du Mans Nord"} {
			if _, _, err := oidc.AddService(ctx, tx, plain(name), "operator:t"); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		return nil
	})
}

func TestWhatCannotBeRegistered(t *testing.T) {
	eachStore(t, func(ctx context.Context, tx *store.Tx) error {
		for name, change := range map[string]func(s *oidc.Service){
			"no name":                func(s *oidc.Service) { s.Name = " " },
			"only signs":             func(s *oidc.Service) { s.Name = "---" },
			"a long name":            func(s *oidc.Service) { s.Name = strings.Repeat("a", 101) },
			"an invisible character": func(s *oidc.Service) { s.Name = "a\u200bb" },
			"text that turns round":  func(s *oidc.Service) { s.Name = "a\u202eb" },
			"no redirect URI":        func(s *oidc.Service) { s.RedirectURIs = nil },
			"plain http":             func(s *oidc.Service) { s.RedirectURIs = []string{"http://service.example/cb"} },
			"a script":               func(s *oidc.Service) { s.RedirectURIs = []string{"javascript:alert(1)"} },
			"a fragment":             func(s *oidc.Service) { s.RedirectURIs = []string{"https://service.example/cb#x"} },
			"an empty fragment":      func(s *oidc.Service) { s.RedirectURIs = []string{"https://service.example/cb#"} },
			"a user":                 func(s *oidc.Service) { s.RedirectURIs = []string{"https://a@service.example/cb"} },
			"a path":                 func(s *oidc.Service) { s.RedirectURIs = []string{"/cb"} },
			"a scheme in capitals":   func(s *oidc.Service) { s.RedirectURIs = []string{"HTTPS://service.example/cb"} },
			"a line break":           func(s *oidc.Service) { s.RedirectURIs = []string{"https://service.example/cb\nhttps://evil.example"} },
			"a space":                func(s *oidc.Service) { s.LogoutURIs = []string{"https://service.example/ bye"} },
			"letters beyond ASCII":   func(s *oidc.Service) { s.LogoutURIs = []string{"https://sérvice.example/"} },
			"a bad logout channel":   func(s *oidc.Service) { s.BackchannelLogout = "ftp://service.example" },
			"an id with a slash":     func(s *oidc.Service) { s.ID = "a/b" },
			"an unknown algorithm":   func(s *oidc.Service) { s.Alg = "HS256" },
			"no algorithm at all":    func(s *oidc.Service) { s.Alg = "none" },
			"an unknown method":      func(s *oidc.Service) { s.AuthMethod = "none" },
			"no keys":                func(s *oidc.Service) { s.AuthMethod = oidc.PrivateKeyJWT },
			"a private key": func(s *oidc.Service) {
				s.AuthMethod, s.JWKS = oidc.PrivateKeyJWT, `{"keys":[{"kty":"oct","k":"AAAA"}]}`
			},
			"keys without their use":  func(s *oidc.Service) { s.JWKS = `{"keys":[]}` },
			"a support address":       func(s *oidc.Service) { s.Support = "call us" },
			"a script to call":        func(s *oidc.Service) { s.Security = "javascript:alert(1)" },
			"a logo that is a script": func(s *oidc.Service) { s.Logo = []byte(`<svg onload="alert(1)"/>`) },
			"a broken logo":           func(s *oidc.Service) { s.Logo = picture(t, 20, 20, "png")[:60] },
			"a huge logo":             func(s *oidc.Service) { s.Logo = picture(t, 5000, 1, "png") },
		} {
			s := plain("Service " + strings.ToUpper(name))
			change(&s)
			if _, _, err := oidc.AddService(ctx, tx, s, "operator:t"); !errors.Is(err, oidc.ErrService) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, s := range []oidc.Service{{ID: "same-id", Name: "One"}, {ID: "same-id", Name: "Two"}} {
			s.RedirectURIs = []string{"https://service.example/cb"}
			if _, _, err := oidc.AddService(ctx, tx, s, "operator:t"); (err != nil) != (s.Name == "Two") {
				t.Errorf("id of %s: %v", s.Name, err)
			}
		}
		return nil
	})
}

func TestALogoIsDrawnAnew(t *testing.T) {
	eachStore(t, func(ctx context.Context, tx *store.Tx) error {
		for name, c := range map[string]struct {
			raw           []byte
			width, height int
		}{
			"wide":  {picture(t, 1000, 500, "png"), 256, 128},
			"high":  {picture(t, 10, 2000, "jpeg"), 1, 256},
			"small": {picture(t, 31, 17, "png"), 31, 17},
		} {
			s := plain("Service " + name)
			s.Logo = c.raw
			s, _, err := oidc.AddService(ctx, tx, s, "operator:t")
			if err != nil {
				t.Fatal(err)
			}
			img, kind, err := image.Decode(bytes.NewReader(s.Logo))
			if err != nil || kind != "png" || img.Bounds().Dx() != c.width || img.Bounds().Dy() != c.height {
				t.Errorf("%s: %s %v, %v", name, kind, img.Bounds(), err)
				continue
			}
			// Red on the left, blue on the right, as it was.
			r, _, b, _ := img.At(0, c.height/2).RGBA()
			if r < 0xf000 && c.width > 1 || b > 0x1000 && c.width > 1 {
				t.Errorf("%s: left is %v", name, img.At(0, c.height/2))
			}
			if bytes.Contains(s.Logo, []byte("tEXt")) || bytes.Equal(s.Logo, c.raw) && name != "small" {
				t.Errorf("%s: kept as it came", name)
			}
		}
		return nil
	})
}

// picture is half red, half blue.
func picture(t *testing.T, w, h int, kind string) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			if x < w/2 {
				img.Set(x, y, color.RGBA{R: 255, A: 255})
			} else {
				img.Set(x, y, color.RGBA{B: 255, A: 255})
			}
		}
	}
	var out bytes.Buffer
	var err error
	if kind == "jpeg" {
		err = jpeg.Encode(&out, img, nil)
	} else {
		err = png.Encode(&out, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
