package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
)

// edgeRows are words and values as slipway edge set takes them; of what is a
// file, or secret, a note.
func edgeRows(e api.Edge) (rows [][2]string) {
	text, err := json.Marshal(e)
	var all map[string]any
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	add := func(word, value string) {
		if value != "" {
			rows = append(rows, [2]string{word, value})
		}
	}
	for _, p := range plainPlaces {
		add(p.word, p.text(at(all, p.place)))
	}
	if e.HSTS != nil {
		value := e.HSTS.MaxAge
		if e.HSTS.Subdomains {
			value += ",subdomains"
		}
		if e.HSTS.Preload {
			value += ",preload"
		}
		add("hsts", value)
	}
	for _, name := range sortedKeys(e.Headers) {
		if e.Headers[name] == "" {
			add("remove-header", name)
			continue
		}
		add("header", name+": "+e.Headers[name])
	}
	for _, r := range e.Redirects {
		add("redirect", redirectText(r))
	}
	for _, name := range sortedKeys(e.Pages) {
		add("page", fmt.Sprintf("%s (%d bytes)", name, len(e.Pages[name])))
	}
	add("deny", strings.Join(e.Deny, ","))
	if e.Auth != nil {
		add("auth", strings.Join(sortedKeys(e.Auth.Users), ", "))
		add("realm", e.Auth.Realm)
	}
	if e.Clients != nil {
		add("client-ca", fmt.Sprintf("%d bytes of PEM", len(e.Clients.CA)))
		add("client-certs", map[bool]string{true: "optional", false: "required"}[e.Clients.Optional])
	}
	for _, r := range e.Rates {
		add("rate", rateText(r))
	}
	for _, m := range e.Matches {
		add("match", matchText(m))
	}
	if e.Overload != nil {
		for _, class := range e.Overload.Classes {
			add("class", classText(class))
		}
	}
	return rows
}

// plainPlaces are the words of one value, and how it is shown.
var plainPlaces = []struct {
	word, place string
	text        func(any) string
}{
	{"timeout", "timeouts.answer", plainText},
	{"connect-timeout", "timeouts.connect", plainText},
	{"idle-timeout", "timeouts.idle", plainText},
	{"tcp-timeout", "timeouts.tcp", plainText},
	{"drain", "timeouts.drain", plainText},
	{"drain-upgraded", "timeouts.upgraded", plainText},
	{"max-body", "max_body", plainText},
	{"request-start", "request_start", plainText},
	{"traces", "traces", plainText},
	{"protocol", "protocol", plainText},
	{"proxy", "proxy", plainText},
	{"compress", "compress", codingsText},
	{"sticky", "balance.sticky", plainText},
	{"slow-start", "balance.slow_start", plainText},
	{"retries", "balance.retries", plainText},
	{"retry-budget", "balance.retry_budget", plainText},
	{"hedge", "balance.hedge", plainText},
	{"max-concurrent", "balance.max_concurrent", plainText},
	{"overload", "overload.mode", plainText},
	{"overload-limit", "overload.limit", plainText},
	{"overload-target", "overload.target", plainText},
	{"overload-user", "overload.user", plainText},
	{"log", "log.sample", sampleText},
	{"tls", "tls", plainText},
}

func at(words map[string]any, place string) any {
	for {
		name, rest, below := strings.Cut(place, ".")
		if !below {
			return words[name]
		}
		words, _ = words[name].(map[string]any)
		place = rest
	}
}

func plainText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case bool:
		return onOff(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

func codingsText(value any) string {
	list, _ := value.([]any)
	var codings []string
	for _, coding := range list {
		codings = append(codings, fmt.Sprint(coding))
	}
	text := strings.Join(codings, ",")
	if text == "identity" {
		return "off"
	}
	return text
}

func sampleText(value any) string {
	n, ok := value.(float64)
	switch {
	case !ok:
		return ""
	case n == 0:
		return "errors"
	case n == 1000:
		return "all"
	}
	return strconv.FormatFloat(n/10, 'f', -1, 64) + "%"
}
