package router

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// What Problems tells at most: it goes into every report of the node.
const (
	maxProblems      = 50
	maxComplaints    = 10 // of one app
	maxProblemLength = 300
)

// Problems say in words what the router was told and cannot do: hosts,
// networks, paths and certificates that cannot be used, and apps for HTTPS
// only where nothing serves it. The rest of what it was told holds.
func (r *Router) Problems() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for what, lines := range r.wrong {
		for _, line := range lines {
			all = append(all, what+": "+line)
		}
	}
	all = append(all, r.certs.expired(time.Now())...)
	slices.Sort(all)
	if n := len(r.demanding); n > 0 && r.hidesHTTPS() {
		all = slices.Insert(all, 0, fmt.Sprintf("%d apps are for HTTPS only, %s among them, and this router serves none: it redirects to port 443", n, r.anyDemanding()))
	}
	if more := len(all) - maxProblems; more > 0 {
		all = append(all[:maxProblems], fmt.Sprintf("and %d problems more of routes and certificates", more))
	}
	return all
}

// anyDemanding is the first by name of the apps for HTTPS only.
func (r *Router) anyDemanding() string {
	first := ""
	for a := range r.demanding {
		if first == "" || a.name < first {
			first = a.name
		}
	}
	return first
}

// complain makes lines all that is wrong with what, which names an app or a
// certificate, and logs those that are new.
func (r *Router) complain(what string, lines []string) {
	if more := len(lines) - maxComplaints; more > 0 {
		lines = append(lines[:maxComplaints:maxComplaints], fmt.Sprintf("and %d more", more))
	}
	before := r.wrong[what]
	for i, line := range lines {
		lines[i] = shortened(line)
		if !slices.Contains(before, lines[i]) {
			r.log.Warn("part of the router's table is not as it was meant", "of", what, "err", lines[i])
		}
	}
	if len(lines) == 0 {
		delete(r.wrong, what)
		return
	}
	r.wrong[what] = lines
}

// shortened is a line that fits a report, whatever it quotes.
func shortened(line string) string {
	if len(line) > maxProblemLength {
		line = strings.ToValidUTF8(line[:maxProblemLength], "") + "…"
	}
	return line
}

func (p *paths) complaints() []string {
	if p == nil {
		return nil
	}
	return p.wrong
}
