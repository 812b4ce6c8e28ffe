// Package balance chooses among the instances of a pool. It is handed the time,
// who may serve, and what came of each request; it says which instance gets the
// next one, whether a request may be sent again, and whether a second instance
// should be asked as well. It waits for nothing, reads no clock, touches no
// connection, and a pick allocates nothing and takes no lock.
//
// Of two instances drawn by weight the one with less open per weight is picked;
// where that is the same, one that answers in less than half the time. A
// weight is less than whole while an instance starts slowly, and when it is an
// outlier by latency.
//
// Health is what requests see. An instance that refuses a connection is passed
// over for a second; one that fails where the others do not is ejected, longer
// each time. After that it is half open: one request at a time until one was
// answered. At most half of a pool is ejected, and when less than half of those
// that are up are sound, ejections count for nothing. What the caller says of
// who may serve always wins, and somebody who may is always picked over nobody.
package balance
