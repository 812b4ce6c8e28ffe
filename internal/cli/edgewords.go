package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

// edgeChange is a change that is being put together: what is there, and what is
// asked for. Lists are whole in both.
type edgeChange struct {
	now   api.Edge
	tag   string // of now
	patch map[string]any
	read  func(name string, most int64) (string, error)
}

// put has a value at a place such as "timeouts.answer"; nil takes it away.
func (e *edgeChange) put(place string, value any) {
	words := e.patch
	for {
		name, rest, below := strings.Cut(place, ".")
		if !below {
			words[name] = value
			return
		}
		next, ok := words[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			words[name] = next
		}
		words, place = next, rest
	}
}

// putNamed is put for one name of a map, which may have dots.
func (e *edgeChange) putNamed(word, name string, value any) {
	words, ok := e.patch[word].(map[string]any)
	if !ok {
		words = map[string]any{}
		e.patch[word] = words
	}
	words[name] = value
}

// edgeWord is a word of slipway edge set.
type edgeWord struct {
	name, form, about string
	set, unset        func(e *edgeChange, value string) error
	values            []string // that a Tab offers
}

// assignment is a word and what it is given.
type assignment struct {
	word  *edgeWord
	value string
}

// plainWord is a word for one value at one place; off takes it away.
func plainWord(name, form, about, place string, read func(string) (any, error), values ...string) edgeWord {
	return edgeWord{
		name: name, form: form, about: about, values: values,
		set: func(e *edgeChange, value string) error {
			if value == "off" && !slices.Contains(values, "off") {
				e.put(place, nil)
				return nil
			}
			v, err := read(value)
			if err == nil {
				e.put(place, v)
			}
			return err
		},
		unset: func(e *edgeChange, value string) error {
			if value != "" {
				return errors.New("it has one value: name the word alone")
			}
			e.put(place, nil)
			return nil
		},
	}
}

func asText(value string) (any, error) {
	if value == "" {
		return nil, errors.New("it needs a value")
	}
	return value, nil
}

func asNumber(value string) (any, error) {
	if value == "off" {
		return nil, nil //nolint:nilnil // null takes the word away, which is what it means
	}
	if _, err := strconv.Atoi(value); err != nil {
		return nil, fmt.Errorf("%q is no whole number", value)
	}
	return json.Number(value), nil
}

func asSwitch(value string) (any, error) {
	on, ok := parseSwitch(value)
	if !ok {
		return nil, fmt.Errorf("%q is neither on nor off", value)
	}
	return on, nil
}

func asList(value string) (any, error) {
	var list []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("it needs a value")
	}
	return list, nil
}

// asCodings is asList where off is a wish too: the operator may compress.
func asCodings(value string) (any, error) {
	if value == "off" || value == "none" {
		return []string{"identity"}, nil
	}
	return asList(value)
}

// asHSTS reads 1y,subdomains,preload.
func asHSTS(value string) (any, error) {
	words := strings.Split(value, ",")
	hsts := map[string]any{"max_age": strings.TrimSpace(words[0]), "subdomains": false, "preload": false}
	for _, word := range words[1:] {
		switch word = strings.TrimSpace(word); word {
		case "subdomains", "preload":
			hsts[word] = true
		default:
			return nil, fmt.Errorf("%q is neither subdomains nor preload", word)
		}
	}
	return hsts, nil
}

func asProtocol(value string) (any, error) {
	if value == "http1" {
		return nil, nil //nolint:nilnil // null takes the word away, which is what it means
	}
	return asText(value)
}

// asSample reads how many requests are logged: all, 10%, 5/1000.
func asSample(value string) (any, error) {
	if value == "all" {
		return 1000, nil
	}
	if value == "errors" {
		return 0, nil
	}
	if percent, ok := strings.CutSuffix(value, "%"); ok {
		f, err := strconv.ParseFloat(percent, 64)
		if err != nil || f < 0 || f > 100 {
			return nil, fmt.Errorf("%q is no share: write all, 10%%, or errors", value)
		}
		return int(f*10 + 0.5), nil
	}
	return nil, fmt.Errorf("%q is no share: write all, 10%%, or errors", value)
}

func asPercent(value string) (any, error) { return asNumber(strings.TrimSuffix(value, "%")) }

func asCertWish(value string) (any, error) {
	switch value {
	case "optional":
		return true, nil
	case "required":
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither required nor optional", value)
}

// edgeWords are all words, in the order in which they are shown.
func edgeWords() []edgeWord {
	return slices.Concat(trafficWords(), answerWords(), doorWords(), balanceWords(), overloadWords())
}

func trafficWords() []edgeWord {
	return []edgeWord{
		plainWord("timeout", "30s", "how long instances have to begin an answer; then 504", "timeouts.answer", asText),
		plainWord("connect-timeout", "2s", "how long it may take to reach an instance", "timeouts.connect", asText),
		plainWord("idle-timeout", "1h", "how long a WebSocket may carry nothing", "timeouts.idle", asText),
		plainWord("tcp-timeout", "12h", "how long a connection to a TCP port may carry nothing", "timeouts.tcp", asText),
		plainWord("drain", "30s", "how long requests of a replaced release may go on", "timeouts.drain", asText),
		plainWord("drain-upgraded", "5m", "how long its WebSockets may", "timeouts.upgraded", asText),
		plainWord("max-body", "10M", "the largest body of a request; over it 413", "max_body", asText),
		plainWord("request-start", "on", "X-Request-Start tells instances when a request came", "request_start", asSwitch, "on", "off"),
		plainWord("traces", "on", "begin a trace for requests that bring none", "traces", asSwitch, "on", "off"),
		plainWord("protocol", "h2c", "what instances speak: h2c for gRPC, or http1", "protocol", asProtocol, "h2c", "http1"),
		plainWord("proxy", "2", "the PROXY protocol's version that instances are told clients by", "proxy", asNumber, "1", "2", "off"),
	}
}

func answerWords() []edgeWord {
	return []edgeWord{
		plainWord("compress", "zstd,br,gzip", "codings that answers may be given, or off", "compress", asCodings, "zstd,br,gzip", "gzip", "off"),
		plainWord("hsts", "1y,subdomains", "browsers come by HTTPS alone for so long", "hsts", asHSTS, "1y", "1y,subdomains", "1y,subdomains,preload"),
		headerWord(),
		removeHeaderWord(),
		redirectWord(),
		pageWord(),
	}
}

func doorWords() []edgeWord {
	return []edgeWord{
		denyWord(),
		plainWord("realm", "Staging", "what browsers say they are asked a password for", "auth.realm", asText),
		plainWord("tls", "modern", "what browsers must speak: modern is TLS 1.3 alone, intermediate 1.2 as well", "tls", asText, "modern", "intermediate"),
		clientCAWord(),
		plainWord("client-certs", "optional", "whether clients must show a certificate: required or optional", "clients.optional", asCertWish, "required", "optional"),
		rateWord(),
		matchWord(),
	}
}

func balanceWords() []edgeWord {
	return []edgeWord{
		plainWord("sticky", "cookie", "a client stays with an instance: by cookie, or by client, its address", "balance.sticky", asText, "cookie", "client"),
		plainWord("slow-start", "30s", "how long a new instance takes to get its whole share", "balance.slow_start", asText),
		plainWord("retries", "2", "how often an idempotent request is sent again", "balance.retries", asNumber),
		plainWord("retry-budget", "20%", "the share of requests that may be", "balance.retry_budget", asPercent),
		plainWord("hedge", "200ms", "send a GET to a second instance after so long", "balance.hedge", asText),
		plainWord("max-concurrent", "50", "requests open to one instance", "balance.max_concurrent", asNumber),
	}
}

func overloadWords() []edgeWord {
	return []edgeWord{
		plainWord("overload", "on", "shed requests when instances cannot keep up: on, off, or observe", "overload.mode", asText, "on", "observe", "off"),
		plainWord("overload-limit", "8", "requests one instance serves at a time; unless set, it is found out", "overload.limit", asNumber),
		plainWord("overload-target", "20ms", "queueing over which the app is overloaded", "overload.target", asText),
		plainWord("overload-user", "cookie:session", "what tells users apart", "overload.user", asText),
		classWord(),
		plainWord("log", "10%", "how many requests are logged: all, a share, or errors alone", "log.sample", asSample, "all", "errors"),
	}
}

// edgeWordsHelp is a line for each word.
func edgeWordsHelp() string {
	var lines strings.Builder
	lines.WriteString("Words:\n")
	for _, w := range edgeWords() {
		fmt.Fprintf(&lines, "  %-16s %s, such as %s\n", w.name, w.about, w.form)
	}
	lines.WriteString("\nTimes are 250ms, 30s, 5m, 12h, 30d or 1y; sizes 512K, 10M or 2G. off takes a word away.")
	return lines.String()
}

// findWord is the word of a name; the old names of some do too.
func findWord(name string) *edgeWord {
	words := edgeWords()
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if i := slices.IndexFunc(words, func(w edgeWord) bool { return w.name == name }); i >= 0 {
		return &words[i]
	}
	return nil
}

func noWord(command, name string) error {
	var near []string
	for _, w := range edgeWords() {
		if strings.Contains(w.name, name) || strings.Contains(name, w.name) {
			near = append(near, w.name)
		}
	}
	err := &usageError{command, fmt.Sprintf("there is no word %q", name)}
	if len(near) > 0 && name != "" {
		return hinted(err, "Did you mean: %s", strings.Join(near, ", "))
	}
	return hinted(err, "See the words with: slipway edge set --help")
}

// edgeAssignments reads WORD=VALUE, and WORD VALUE where a word stands alone.
func edgeAssignments(args []string) ([]assignment, error) {
	const command = "slipway edge set"
	var all []assignment
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		word := findWord(name)
		switch {
		case word == nil:
			return nil, noWord(command, name)
		case !joined && i+1 == len(args):
			return nil, &usageError{command, fmt.Sprintf("%q sets nothing: write %s=%s", name, name, word.form)}
		case !joined:
			i++
			value = args[i]
		}
		all = append(all, assignment{word, strings.TrimSpace(value)})
	}
	return all, nil
}

// edgeRemovals reads WORD and WORD=VALUE.
func edgeRemovals(args []string) ([]assignment, error) {
	var all []assignment
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		word := findWord(name)
		if word == nil {
			return nil, noWord("slipway edge unset", name)
		}
		all = append(all, assignment{word, strings.TrimSpace(value)})
	}
	return all, nil
}

func completeEdgeSet(_ *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
	name, _, joined := strings.Cut(start, "=")
	var offered []string
	for _, w := range edgeWords() {
		if !joined {
			offered = append(offered, w.name+"=\t"+w.about)
			continue
		}
		for _, value := range w.values {
			if w.name == name {
				offered = append(offered, name+"="+value)
			}
		}
	}
	how := cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	if !joined {
		how |= cobra.ShellCompDirectiveNoSpace
	}
	return offered, how
}

func (c *cli) completeEdgeUnset(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		edge, err := s.Edge(ctx, app)
		var set []string
		for _, row := range edgeRows(edge) {
			if !slices.Contains(set, row[0]) {
				set = append(set, row[0])
			}
		}
		return set, err
	})(cmd, typed, start)
}
