package web

import "net/http"

// StyleGuide serves one page with every component, for those who build pages
// and for the tests that look at them.
func StyleGuide() http.Handler {
	return secure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := guide{
			Service: guideService{Name: "Vaccin AmeliPRO", Logo: ""},
			Code:    "482913", Left: countdown{Left: 83, Whole: 120}, Short: countdown{Left: 14, Whole: 60},
		}
		if a, err := loadedAssets(); err == nil {
			page.Service.Logo, _ = a.address("img/vaccin.svg")
		}
		if err := render(w, r, http.StatusOK, "styleguide", page); err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	}))
}

type guide struct {
	Service     guideService
	Code        string
	Left, Short countdown
}

type guideService struct{ Name, Logo string }
