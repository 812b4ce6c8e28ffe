package logs

import (
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Format writes a line as Deis does (contract section 6), without a line end:
//
//	2016-10-18T20:29:38+00:00 foo[web.v2.x3ten]: GET / 200
//	2016-10-18T20:29:38+00:00 foo[build]: -----> Go app detected
//	2016-10-18T20:29:38+00:00 deis[controller]: INFO config foo-1cf0cea updated
//
// A controller's line has level INFO unless its text begins with "ERROR ".
func Format(line platform.LogLine) string {
	at := line.At.UTC().Format("2006-01-02T15:04:05-07:00 ")
	switch line.Source {
	case platform.LogController:
		if !strings.HasPrefix(line.Text, "ERROR ") {
			at += "deis[controller]: INFO "
		} else {
			at += "deis[controller]: "
		}
		return at + line.Text
	case platform.LogBuild:
		return at + line.App + "[build]: " + line.Text
	}
	tag := line.Process
	if line.Release > 0 {
		tag += ".v" + strconv.Itoa(line.Release)
	}
	if line.Instance != "" {
		tag += "." + line.Instance[max(0, len(line.Instance)-5):]
	}
	return at + line.App + "[" + tag + "]: " + line.Text
}
