package router

import (
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Check says what of a table cannot be had as it is written: hosts, networks,
// paths, rules, conditions, words that nobody knows, certificates that cannot be
// read. Whoever is handed a table asks before any of it is set; what is set in
// spite of it is left out part by part: see Problems. It knows nothing of what
// is set.
func Check(routes []platform.Route, certificates []platform.EdgeCertificate) error {
	var wrong []string
	for _, route := range routes {
		for _, words := range wrongWith(route) {
			wrong = append(wrong, fmt.Sprintf("app %.80s: %s", route.App, words))
		}
	}
	for _, wish := range certificates {
		if c := readCertificate(wish); len(c.wrong) > 0 && len(c.hosts) == 0 && len(wish.Hosts) > 0 {
			wrong = append(wrong, fmt.Sprintf("certificate %.80q: %s", c.label(), c.wrong[0]))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	if more := len(wrong) - maxComplaints; more > 0 {
		wrong = append(wrong[:maxComplaints], fmt.Sprintf("and %d more", more))
	}
	return errors.New(shortened(strings.Join(wrong, "; ")))
}

func wrongWith(wish platform.Route) []string {
	_, wrong := normalPatterns(wish.Hosts)
	wrong = append(wrong, routeAfter(nil, wish).complaints()...)
	if wish.App == "" {
		wrong = append(wrong, "it has no name")
	}
	e := wish.Edge
	words := platform.Edge{Protocol: e.Protocol, Proxy: e.Proxy, Balance: e.Balance, Rates: e.Rates, Overload: e.Overload, TLS: e.TLS}
	if err := words.Validate(); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}
