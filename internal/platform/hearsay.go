package platform

import "time"

// RouterNews is what one router tells the others of instances and apps that they
// lead requests to as well: what is not at rest. It holds for NewsHold.
type RouterNews struct {
	Ejected []EjectedInstance `json:"ejected,omitempty"`
	Gates   []GateUse         `json:"gates,omitempty"`
}

// NewsHold is how long news of a router are believed.
const NewsHold = time.Second

// MaxNews bounds the instances, and the gates, that one router tells of.
const MaxNews = 100

// EjectedInstance is one that a router passes over. Number differs for each time.
type EjectedInstance struct {
	Instance string `json:"instance"`
	Number   int64  `json:"number"`
}

// GateUse is what a router is asked for of an app whose instances have a limit.
type GateUse struct {
	App     string  `json:"app"`
	Process string  `json:"process,omitempty"` // empty: the main one
	Asked   float64 `json:"asked"`             // requests a second, lately
}

// Empty reports whether there is nothing to tell.
func (n RouterNews) Empty() bool { return len(n.Ejected)+len(n.Gates) == 0 }

// Bounded is what is believed of it.
func (n RouterNews) Bounded() RouterNews {
	n.Ejected, n.Gates = n.Ejected[:min(len(n.Ejected), MaxNews)], n.Gates[:min(len(n.Gates), MaxNews)]
	return n
}
