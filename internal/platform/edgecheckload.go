package platform

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// What of an Edge is about how much comes, and who serves it.

func (c *edgeCheck) balance(b Balance) {
	if !slices.Contains([]string{"", "cookie", "client"}, b.Sticky) {
		c.reject("balance.sticky", "A client is kept with an instance by cookie or by client, its address.")
	}
	c.span("balance.slow_start", b.SlowStart, time.Second, time.Hour)
	if b.Retries != nil {
		c.number("balance.retries", int64(*b.Retries), 10)
	}
	c.number("balance.retry_budget", int64(b.RetryBudget), 100)
	c.span("balance.hedge", b.Hedge, time.Millisecond, time.Minute)
	c.number("balance.max_concurrent", int64(b.MaxConcurrent), 1_000_000)
}

// who checks what tells clients apart: a header, a cookie, or one of words.
func (c *edgeCheck) who(field, by string, words ...string) {
	kind, name, named := strings.Cut(by, ":")
	switch {
	case slices.Contains(words, by):
	case named && (kind == "header" || kind == "cookie"):
		c.token(field, name)
	default:
		c.reject(field, "Write %s.", strings.Join(append(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), "header:NAME or cookie:NAME"), ", "))
	}
}

func (c *edgeCheck) rates(rates []RateLimit) {
	if !c.some("rates", len(rates), maxEdgeRates, "rates") {
		return
	}
	for i, rate := range rates {
		field := fmt.Sprintf("rates[%d]", i)
		c.who(field+".by", rate.By, "client", "app")
		if !(rate.PerSecond >= 0 && rate.PerSecond <= 1e6) || rate.PerSecond > 0 && rate.PerSecond < 1e-4 || math.IsNaN(rate.PerSecond) {
			c.reject(field+".per_second", "Write requests a second, from 0.0001 to 1000000.")
		}
		c.number(field+".burst", int64(rate.Burst), 1_000_000)
		c.number(field+".concurrent", int64(rate.Concurrent), 1_000_000)
		switch {
		case rate.PerSecond == 0 && rate.Concurrent == 0:
			c.reject(field, "This bounds nothing: say per_second or concurrent.")
		case rate.Burst > 0 && rate.PerSecond == 0:
			c.reject(field+".burst", "A burst is over a rate: say per_second as well.")
		}
		c.path(field+".path", rate.Path)
	}
}

func (c *edgeCheck) overload(o Overload) {
	if !slices.Contains([]OverloadMode{"", OverloadOff, OverloadObserve, OverloadOn}, o.Mode) {
		c.reject("overload.mode", "%q is none of off, observe and on.", clipped(string(o.Mode)))
	}
	c.number("overload.limit", int64(o.Limit), 1_000_000)
	c.span("overload.target", o.Target, time.Millisecond, 10*time.Second)
	if o.User != "" {
		c.who("overload.user", o.User)
	}
	if !c.some("overload.classes", len(o.Classes), maxEdgeRules, "classes") {
		return
	}
	for i, class := range o.Classes {
		c.class(fmt.Sprintf("overload.classes[%d]", i), class)
	}
}

func (c *edgeCheck) class(field string, class OverloadClass) {
	if !slices.Contains(overloadClasses, class.Class) {
		c.reject(field+".class", "%q is none of %s.", clipped(class.Class), strings.Join(overloadClasses, ", "))
	}
	if class.Method == "" && class.Path == "" && class.Header == "" && class.Process == "" {
		c.reject(field, "This is for no request: say method, path, header or process.")
	}
	if class.Method != "" && (!isToken(class.Method) || strings.ToUpper(class.Method) != class.Method) {
		c.reject(field+".method", "%q is no method, such as POST.", clipped(class.Method))
	}
	c.path(field+".path", class.Path)
	switch {
	case class.Header != "":
		c.token(field+".header", class.Header)
		if class.Value == "" {
			c.reject(field+".value", "Say which value is meant; \"*\" is any.")
		}
		c.fieldValue(field+".value", class.Value)
	case class.Value != "":
		c.reject(field+".value", "Say of which header.")
	}
	if class.Process != "" {
		c.process(field+".process", class.Process)
	}
}
