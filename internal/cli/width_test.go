package cli_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
)

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestNoTableIsWiderThanItsScreen(t *testing.T) {
	long := strings.Repeat("very ", 60) + "long"
	c := whole(t)
	c.answers["GET /v2/apps/blog/pods/"] = listOf(`{"name":"blog-web-0123456789-abcde","state":"crashed","release":"v3","type":"web","started":"2016-10-18T11:59:30Z","restarts":7,"message":"`+long+`"}`,
		`{"name":"blog-a-very-long-process-type-0123456789-abcde","state":"up","release":"v3","type":"a-very-long-process-type","started":"2016-10-18T11:59:30Z"}`)
	c.answers["GET /v2/apps/blog/releases/"] = listOf(`{"version":3,"owner":"someone.with.a.long.name@example.com","summary":"` + long + ` 日本語日本語日本語日本語","state":"succeeded","created":"` + t0 + `"}`)
	c.answers["GET /v2/audit/"] = listOf(`{"id":1,"at":"` + t0 + `","event":"certificate.attached","app":"a-long-name-of-an-app","user":"someone@example.com","from":"2001:db8::1234:5678","token":"ci","attrs":{"x":"` + long + `"}}`)
	for _, columns := range []int{20, 40, 80, 200} {
		for _, line := range []string{"ps", "releases", "audit", "certs", "tokens", "healthchecks", "config", "users", "keys", "perms", "contexts"} {
			u := worker(t, c)
			text := u.atConsole(24, uint16(columns)).shows(line)
			for row := range strings.Lines(text) {
				if w := lipgloss.Width(strings.TrimRight(row, "\r\n")); w > columns && line != "contexts" {
					t.Errorf("%s at %d columns: %d in %q", line, columns, w, row)
				}
			}
			if len(text) == 0 || strings.Contains(text, long) {
				t.Errorf("%s at %d columns: %q", line, columns, text)
			}
		}
	}
	// Nothing is lost in a pipe.
	if got := worker(t, c).types("ps"); !strings.Contains(got.stdout, long) || strings.Contains(got.stdout, "…") {
		t.Errorf("got %q", got.stdout)
	}
}

func TestWhatIsLeftOutShows(t *testing.T) {
	c := whole(t)
	const want = "TYPE  INSTANCE   STATE  RELEASE  STARTED\r\nweb   blog-web…  up     v3       30s ago\r\n"
	if got := worker(t, c).atConsole(24, 40).shows("ps"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := worker(t, c).atConsole(24, 40).shows("healthchecks"); !strings.Contains(got, "  …\r\n") || strings.Contains(got, "FAILURES") {
		t.Errorf("got %q", got)
	}
}

// shows is all that a command shows, without colours; it has to end well.
func (c *console) shows(args ...string) string {
	c.t.Helper()
	const end = "\x04"
	c.starts(args...)
	shown := make(chan string)
	go func() { shown <- c.reads(end) }()
	exit := <-c.exit
	fmt.Fprint(c.tty, end)
	text := strings.TrimSuffix(<-shown, end)
	if exit != 0 {
		c.t.Errorf("%v: exit %d: %s", args, exit, text)
	}
	return escape.ReplaceAllString(text, "")
}
