package directory

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// errDamaged says that a temporary file does not hold what was written to it.
var errDamaged = errors.New("a temporary file of the import is damaged")

// A spool is a temporary file of records, written once, then read from the
// start as often as wanted. It has no name: it is gone with the process,
// however that ends, and nobody else can open it.
type spool struct {
	file *os.File
	out  *bufio.Writer
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "vigie-import-*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("hiding a temporary file: %w", err)
	}
	return &spool{f, bufio.NewWriterSize(f, 256<<10)}, nil
}

func (s *spool) close() { s.file.Close() }

// add writes one record; an error shows at the latest in reader.
func (s *spool) add(record []byte) {
	var size [binary.MaxVarintLen64]byte
	s.out.Write(size[:binary.PutUvarint(size[:], uint64(len(record)))])
	s.out.Write(record)
}

// A spoolReader reads the records of a spool in order.
type spoolReader struct {
	in     *bufio.Reader
	record []byte
}

// reader starts reading; nothing may be added any more.
func (s *spool) reader() (*spoolReader, error) {
	if err := s.out.Flush(); err != nil {
		return nil, fmt.Errorf("writing a temporary file: %w", err)
	}
	return &spoolReader{in: bufio.NewReaderSize(io.NewSectionReader(s.file, 0, 1<<62), 128<<10)}, nil
}

// next returns the next record, valid until the call after, or io.EOF.
func (r *spoolReader) next() ([]byte, error) {
	size, err := binary.ReadUvarint(r.in)
	if err == io.EOF {
		return nil, io.EOF
	}
	if err != nil || size > 1<<30 {
		return nil, errDamaged
	}
	r.record = slices.Grow(r.record[:0], int(size))[:size]
	if _, err := io.ReadFull(r.in, r.record); err != nil {
		return nil, errDamaged
	}
	return r.record, nil
}

// A sorter puts records in the order of their keys, in bounded memory: what
// does not fit is sorted in parts, which are merged when they are read. Records
// of one key keep the order in which they were added.
type sorter struct {
	dir   string
	arena []byte // records one after the other
	index []span // where they are
	limit int    // bytes of the arena
	count int64  // records
	parts []*spool
}

// A span is a record in an arena: at from, the key's length in front.
type span struct{ from, to uint32 }

func newSorter(dir string, limit int) *sorter {
	return &sorter{dir: dir, limit: limit, arena: make([]byte, 0, limit)}
}

func (s *sorter) close() {
	for _, p := range s.parts {
		p.close()
	}
}

// add takes one record. Keys have at most 255 bytes.
func (s *sorter) add(key string, record []byte) error {
	if len(s.arena)+len(key)+len(record)+1 > s.limit && len(s.index) > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	from := len(s.arena)
	s.arena = append(s.arena, byte(len(key)))
	s.arena = append(s.arena, key...)
	s.arena = append(s.arena, record...)
	s.index = append(s.index, span{uint32(from), uint32(len(s.arena))})
	s.count++
	return nil
}

// flush sorts what is in memory into a part of its own.
func (s *sorter) flush() error {
	part, err := newSpool(s.dir)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, part)
	slices.SortFunc(s.index, func(a, b span) int {
		if c := bytes.Compare(keyOf(s.arena[a.from:]), keyOf(s.arena[b.from:])); c != 0 {
			return c
		}
		return cmp.Compare(a.from, b.from)
	})
	for _, r := range s.index {
		part.add(s.arena[r.from:r.to])
	}
	s.arena, s.index = s.arena[:0], s.index[:0]
	return nil
}

func keyOf(record []byte) []byte { return record[1 : 1+record[0]] }

// merged is what a sorter holds, in order.
type merged struct{ heads headHeap }

// A head is the next record of one part.
type head struct {
	in     *spoolReader
	part   int
	record []byte
}

// merge starts reading; nothing may be added any more.
func (s *sorter) merge() (*merged, error) {
	if err := s.flush(); err != nil {
		return nil, err
	}
	s.arena, s.index = nil, nil
	m := &merged{}
	for i, p := range s.parts {
		in, err := p.reader()
		if err != nil {
			return nil, err
		}
		h := &head{in: in, part: i}
		if h.record, err = in.next(); err == io.EOF {
			continue
		} else if err != nil {
			return nil, err
		}
		m.heads = append(m.heads, h)
	}
	heap.Init(&m.heads)
	return m, nil
}

// each calls f with every key and record in order; both are valid during the
// call only.
func (m *merged) each(f func(key, record []byte) error) error {
	for len(m.heads) > 0 {
		h := m.heads[0]
		if len(h.record) == 0 || len(h.record) < 1+int(h.record[0]) {
			return errDamaged
		}
		key := keyOf(h.record)
		if err := f(key, h.record[1+len(key):]); err != nil {
			return err
		}
		var err error
		if h.record, err = h.in.next(); err == io.EOF {
			heap.Pop(&m.heads)
		} else if err != nil {
			return err
		} else {
			heap.Fix(&m.heads, 0)
		}
	}
	return nil
}

// headHeap is a heap of heads: the smallest key first, of equal ones the
// earliest part.
type headHeap []*head

func (h headHeap) Len() int      { return len(h) }
func (h headHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h headHeap) Less(i, j int) bool {
	if c := bytes.Compare(keyOf(h[i].record), keyOf(h[j].record)); c != 0 {
		return c < 0
	}
	return h[i].part < h[j].part
}
func (h *headHeap) Push(x any) { *h = append(*h, x.(*head)) }
func (h *headHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// A packer writes values into a record; an unpacker reads them back in the same
// order.
type packer []byte

func (p *packer) number(n int64)  { *p = binary.AppendVarint(*p, n) }
func (p *packer) string(s string) { *p = append(binary.AppendUvarint(*p, uint64(len(s))), s...) }

type unpacker struct {
	rest    []byte
	damaged bool
}

func (u *unpacker) number() int64 {
	n, size := binary.Varint(u.rest)
	if size <= 0 {
		u.rest, u.damaged = nil, true
		return 0
	}
	u.rest = u.rest[size:]
	return n
}

func (u *unpacker) string() string {
	n, size := binary.Uvarint(u.rest)
	if size <= 0 || n > uint64(len(u.rest)-size) {
		u.rest, u.damaged = nil, true
		return ""
	}
	s := string(u.rest[size : size+int(n)])
	u.rest = u.rest[size+int(n):]
	return s
}

// err tells whether everything was there.
func (u *unpacker) err() error {
	if u.damaged || len(u.rest) > 0 {
		return errDamaged
	}
	return nil
}
