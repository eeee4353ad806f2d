(* The grammar of libvirt's configuration files, as libvirt's own parser reads it.

   One grammar serves qemu.conf, libxl.conf, qemu-lockd.conf, libxl-lockd.conf and
   virtlockd.conf: the modules beside this one only say which file they are for. Any
   key is accepted, so that an unknown one can be reported and never hides the file.

   How a setting looks in the tree:

     key = 5                       { "key" = "5" }           an integer, as it is
     key = "text"                  { "key" = "text" }        a string, without its double quotes
     key = 'text'                  { "key" = "'text'" }      every other spelling of a string, as it is
     key = """text"""              { "key" = "\"\"\"text\"\"\"" }
     key = ""   key = "5"          { "key" = "\"\"" }        so are the empty string, a string that looks
     key = "'text'"                { "key" = "\"'text'\"" }  like an integer or begins with a quote
     key = [ "a", "b" ]            { "key" { "1" = "a" } { "2" = "b" } }
     key = 5   # why               { "key" = "5" { "#comment" = "why" } }

   So no two values share one tree, and writing back keeps every byte. A value set
   without quotes is written as libvirt's samples write it: integers bare, all else in
   double quotes. To write the string "5", set the value with its quotes.

   What libvirt's parser takes that is easily missed: a statement ends at a line feed, a
   carriage return or a semicolon; '#' begins a comment after a value too, but not inside a
   list; a list may run over lines and end in a comma; a file of nothing but blanks is an
   error (but for a lone line feed, see lns). The text must end in a line feed, as Augeas
   makes it when it loads a file. Not taken: a list inside a list, which no setting uses.
   Read but not written back: the bytes 1 to 4, which Augeas needs for itself. *)

module Lockcfg_conf =




let indent = del /[ \t\r]*/ ""
let equals = del /[ \t]*=[ \t]*/ " = "
let quote  = del /"/ "\""
let name   = /[A-Za-z][A-Za-z0-9_]*/

(* View: end_of_statement
   After ';' and after a carriage return the rest of the line is an #empty of its own. *)
let end_of_statement = del /[ \t]*[\n\r;]/ "\n"
let end_of_comment   = del /[\n\r]/ "\n"


(* Group: values of one line *)

let integer = /[+-]?[0-9]+/

(* View: plain
   What a double-quoted string may hold to be shown without its quotes: it does not begin
   with a quote, is not empty and is not an integer. Written out: the difference of the two
   expressions takes Augeas milliseconds to work out at every start. *)
let plain = /[^0-9+'"\r\n-][^"\r\n]*|[+-]|([+-]|[+-]?[0-9]+)[^0-9"\r\n][^"\r\n]*/

let single = /'[^'\r\n]*'/
let triple = /"""(("|"")?[^"])*"""/
let double = /"('[^"\r\n]*|[+-]?[0-9]+)"/

let quoted (content:regexp) = quote . store content . quote
let spelled = single | triple | double


(* Group: lists *)

let element (v:lens) = [ seq "element" . v ]
let any_element = element (store integer)
                | element (quoted (plain | ""))
                | element (store spelled)
let comma = del /[ \t\r\n]*,[ \t\r\n]*/ ", "
let list_end = del /[ \t\r\n]*(,[ \t\r\n]*)?/ " "
let elements = any_element . (comma . any_element)* . list_end
let list = counter "element" . del /\[[ \t\r\n]*/ "[ " . elements? . del "]" "]"


(* Group: statements *)

let comment_text = /[^ \t\r\n][^\r\n]*/

let hash_after_value = del /[ \t]*#[ \t]*/ " # "
let comment_after = [ label "#comment" . hash_after_value . (store comment_text)? ]

let entry (v:lens) = [ indent . key name . equals . v . (comment_after . end_of_comment | end_of_statement) ]
let any_entry = entry (store integer)
              | entry (quoted plain)
              | entry (store (spelled | "\"\""))
              | entry list

let hash = del /#[ \t]*/ "# "
let comment = [ indent . label "#comment" . hash . (store comment_text)? . end_of_comment ]

let empty = [ label "#empty" . del /[ \t\r]*\n/ "\n" ]

let statement = any_entry | comment

(* View: lns
   Written with '|' and not '?': of a tree that fits no part of it, Augeas would take '?' for
   absent and save an empty file. An empty file is a lone line feed when Augeas has loaded it. *)
let nothing = del /\n?/ ""
let lns = empty* . statement . (statement | empty)* | nothing
