package buildpack

import (
	"io"
	"maps"

	"github.com/slipway-paas/slipway/internal/builder"
)

// debugKey is the config value that makes a build show every command.
const debugKey = "DEIS_BUILDPACK_DEBUG"

// output is where a build's story goes.
type output struct{ *builder.Output }

func newOutput(to io.Writer) *output { return &output{builder.NewOutput(to)} }

func (o *output) headline(text string) { o.Headline(text) }
func (o *output) detail(text string)   { o.Detail(text) }
func (o *output) print(line string)    { o.Print(line) }
func (o *output) lastWords() string    { return o.LastWords() }

// hide shows names in place of config values, for a trace has them in many lines.
func (o *output) hide(config map[string]string) {
	config = maps.Clone(config)
	delete(config, debugKey)
	o.Hide(config)
}
