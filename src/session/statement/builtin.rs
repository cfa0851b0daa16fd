//! The servers' own functions, and the words that may stand in front of a parenthesis.

use crate::session::lexer::{Charset, Dialect};

/// Both servers' functions that leave the session as it is (asked of MySQL 9.7 and MariaDB 10.11 by
/// calling every word in their programs), and what else may stand before a parenthesis; each once,
/// sorted.
const KNOWN: &str = "
    abs accessible acos add add_months adddate addtime aes_decrypt aes_encrypt against all
    alter analyze and any any_value area array as asbinary asc ascii asensitive asin astext
    aswkb aswkt atan atan2 avg before benchmark between bigint bin bin_to_uuid binary
    binlog_gtid_pos bit bit_and bit_count bit_length bit_or bit_xor blob bool boolean both
    boundary buffer by call cascade case cast ceil ceiling centroid change char char_length
    character character_length charset check chr coalesce coercibility collate collation
    column column_add column_check column_create column_delete column_exists column_get
    column_json column_list columns compress concat concat_operator_oracle concat_ws condition
    constraint contains continue conv convert convert_tz convexhull cos cot count crc32 crc32c
    create cross crosses cube cume_dist curdate current_date current_role current_role_in
    current_time current_timestamp current_user current_user_in cursor curtime database
    databases date date_add date_format date_sub datediff datetime day day_hour
    day_microsecond day_minute day_second dayname dayofmonth dayofweek dayofyear dec decimal
    declare decode decode_histogram decode_oracle default degrees delayed delete dense_rank
    des_decrypt des_encrypt desc describe deterministic dimension disjoint distance distinct
    distinctrow div double drop dual each else elseif elt empty enclosed encode encrypt
    endpoint enum envelope equals escape escaped etag except exists exit exp explain
    export_set exteriorring external extract extractvalue false fetch field find_in_set
    first_value float float4 float8 floor for force foreign format format_bytes
    format_pico_time from from_base64 from_days from_unixtime from_vector fulltext function
    generated geomcollection geomcollfromtext geomcollfromwkb geometrycollection
    geometryfromtext geometryfromwkb geometryn geometrytype geomfromtext geomfromwkb get
    get_format glength grant greatest group group_concat grouping groups gtid_subset
    gtid_subtract hash_md5 having hex high_priority hour hour_microsecond hour_minute
    hour_second icu_version if ifnull ignore in index inet6_aton inet6_ntoa inet_aton
    inet_ntoa infile inner inout insensitive insert instr int int1 int2 int3 int4 int8 integer
    interiorringn intersect intersects interval into io_after_gtids io_before_gtids is
    is_free_lock is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid isclosed isempty isnull
    isring issimple iterate join json_append json_array json_array_append json_array_insert
    json_arrayagg json_compact json_contains json_contains_path json_depth json_detailed
    json_equals json_exists json_extract json_insert json_keys json_length json_loose
    json_merge json_merge_patch json_merge_preserve json_normalize json_object json_objectagg
    json_overlaps json_pretty json_query json_quote json_remove json_replace json_schema_valid
    json_schema_validation_report json_search json_set json_storage_free json_storage_size
    json_table json_type json_unquote json_valid json_value key keys kill lag last_day
    last_value lateral lcase lead leading least leave left length lengthb library like limit
    linear linefromtext linefromwkb lines linestring linestringfromtext linestringfromwkb ln
    load load_file localtime localtimestamp locate lock log log10 log2 long longblob longtext
    loop low_priority lower lpad lpad_oracle ltrim ltrim_oracle make_set makedate maketime
    master_gtid_wait master_pos_wait match max maxvalue mbrcontains mbrcoveredby mbrcovers
    mbrdisjoint mbrequal mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin md5 median
    mediumblob mediumint mediumtext member microsecond mid middleint min minute
    minute_microsecond minute_second mlinefromtext mlinefromwkb mod modifies month monthname
    mpointfromtext mpointfromwkb mpolyfromtext mpolyfromwkb multilinestring
    multilinestringfromtext multilinestringfromwkb multipoint multipointfromtext
    multipointfromwkb multipolygon multipolygonfromtext multipolygonfromwkb name_const
    national natural natural_sort_key nchar no_write_to_binlog not now nth_value ntile null
    nullif numeric numgeometries numinteriorrings numpoints nvarchar nvl nvl2 oct octet_length
    of offset old_password on optimize optimizer_costs option optionally or ord order out
    outer outfile over overlaps partition password percent_rank percentile_cont
    percentile_disc period_add period_diff pi point pointfromtext pointfromwkb pointn
    pointonsurface polyfromtext polyfromwkb polygon polygonfromtext polygonfromwkb position
    pow power precision primary procedure ps_current_thread_id ps_thread_id purge qualify
    quarter quote radians rand random_bytes range rank read read_write reads real recursive
    references regexp regexp_instr regexp_like regexp_replace regexp_substr release rename
    repeat replace replace_oracle require resignal restrict return returning reverse revoke
    right rlike roles_graphml rollup round row row_number rownum rows rpad rpad_oracle rtrim
    rtrim_oracle schema schemas sec_to_time second second_microsecond select sensitive
    separator session_user set sformat sha sha1 sha2 show sign signal signed sin sleep
    smallint some soundex source_pos_wait space spatial specific sql sql_big_result
    sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache sql_small_result sqlexception
    sqlstate sqlwarning sqrt srid ssl st_area st_asbinary st_asgeojson st_astext st_aswkb
    st_aswkt st_boundary st_buffer st_buffer_strategy st_centroid st_collect st_contains
    st_convexhull st_crosses st_difference st_dimension st_disjoint st_distance
    st_distance_sphere st_endpoint st_envelope st_equals st_exteriorring st_frechetdistance
    st_geohash st_geomcollfromtext st_geomcollfromtxt st_geomcollfromwkb
    st_geometrycollectionfromtext st_geometrycollectionfromwkb st_geometryfromtext
    st_geometryfromwkb st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext
    st_geomfromwkb st_hausdorffdistance st_interiorringn st_intersection st_intersects
    st_isclosed st_isempty st_isring st_issimple st_isvalid st_latfromgeohash st_latitude
    st_length st_linefromtext st_linefromwkb st_lineinterpolatepoint st_lineinterpolatepoints
    st_linestringfromtext st_linestringfromwkb st_longfromgeohash st_longitude st_makeenvelope
    st_mlinefromtext st_mlinefromwkb st_mpointfromtext st_mpointfromwkb st_mpolyfromtext
    st_mpolyfromwkb st_multilinestringfromtext st_multilinestringfromwkb st_multipointfromtext
    st_multipointfromwkb st_multipolygonfromtext st_multipolygonfromwkb st_numgeometries
    st_numinteriorring st_numinteriorrings st_numpoints st_overlaps st_pointatdistance
    st_pointfromgeohash st_pointfromtext st_pointfromwkb st_pointn st_pointonsurface
    st_polyfromtext st_polyfromwkb st_polygonfromtext st_polygonfromwkb st_relate st_simplify
    st_srid st_startpoint st_swapxy st_symdifference st_touches st_transform st_union
    st_validate st_within st_x st_y starting startpoint statement_digest statement_digest_text
    std stddev stddev_pop stddev_samp stored str_to_date straight_join strcmp string_to_vector
    subdate substr substr_oracle substring substring_index subtime sum sys_guid sysdate system
    system_user table tablesample tan terminated text then time time_format time_to_sec
    timediff timestamp timestampadd timestampdiff tinyblob tinyint tinytext to to_base64
    to_char to_days to_seconds to_vector touches trailing trigger trim trim_oracle true
    truncate ucase uncompress uncompressed_length undo unhex union unique unix_timestamp
    unlock unsigned update updatexml upper usage use use_index user using utc_date utc_time
    utc_timestamp uuid uuid_short uuid_to_bin validate_password_strength value values var_pop
    var_samp varbinary varchar varcharacter variance varying vec_distance vec_distance_cosine
    vec_distance_euclidean vec_fromtext vec_totext vector_dim vector_to_string version virtual
    wait_for_executed_gtid_set week weekday weekofyear weight_string when where while window
    with within write wsrep_last_seen_gtid wsrep_last_written_gtid wsrep_sync_wait_upto_gtid
    xml xor year year_month yearweek zerofill
";

const COUNT: usize = count();
const LONGEST: usize = 32;

/// The words of `KNOWN`.
static WORDS: [&[u8]; COUNT] = words();

const fn count() -> usize {
    let text = KNOWN.as_bytes();
    let (mut at, mut words) = (1, 0);
    while at < text.len() {
        if !text[at - 1].is_ascii_whitespace() && text[at].is_ascii_whitespace() {
            words += 1;
        }
        at += 1;
    }
    words
}

const fn words() -> [&'static [u8]; COUNT] {
    let mut words: [&[u8]; COUNT] = [b""; COUNT];
    let mut rest = KNOWN.as_bytes();
    let mut index = 0;
    while index < COUNT {
        while let [first, tail @ ..] = rest {
            if !first.is_ascii_whitespace() {
                break;
            }
            rest = tail;
        }
        let mut length = 0;
        while length < rest.len() && !rest[length].is_ascii_whitespace() {
            length += 1;
        }
        let (word, tail) = rest.split_at(length);
        words[index] = word;
        rest = tail;
        index += 1;
    }
    words
}

/// Whether `name` is a function of the server's own, or a reserved word.
pub(super) fn is_known(name: &[u8]) -> bool {
    let mut folded = [0; LONGEST];
    let Some(folded) = folded.get_mut(..name.len()) else { return false };
    folded.copy_from_slice(name);
    folded.make_ascii_lowercase();
    WORDS.binary_search(&&*folded).is_ok()
}

/// The functions whose calls must not be missed.
const SENSITIVE: &[&[u8]] = &[
    b"connection_id",
    b"found_rows",
    b"get_lock",
    b"is_used_lock",
    b"last_insert_id",
    b"lastval",
    b"nextval",
    b"release_all_locks",
    b"release_lock",
    b"row_count",
    b"setval",
];

/// Whether the server's collation of names may take `name`, which is not ASCII, for one of the
/// functions that matter: whether it is one of them if each of its other characters may stand for
/// any letter.
pub(super) fn may_be_sensitive(name: &[u8], dialect: &Dialect) -> bool {
    SENSITIVE.iter().any(|function| matches(name, function, dialect.charset))
}

fn matches(name: &[u8], function: &[u8], charset: Charset) -> bool {
    let mut rest = name;
    for letter in function {
        let Some(&byte) = rest.first() else { return false };
        if byte < 0x80 && !byte.eq_ignore_ascii_case(letter) {
            return false;
        }
        let length = if byte < 0x80 { 1 } else { character_length(rest, charset) };
        rest = rest.get(length..).unwrap_or_default();
    }
    rest.is_empty()
}

fn character_length(rest: &[u8], charset: Charset) -> usize {
    match charset {
        Charset::Utf8 => {
            1 + rest.iter().skip(1).take_while(|byte| matches!(byte, 0x80..=0xbf)).count()
        }
        Charset::Euc => 1 + rest.iter().skip(1).take_while(|byte| **byte >= 0x80).take(1).count(),
        _ => charset.wide_length(rest).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(WORDS.is_sorted());
        assert!(WORDS.iter().all(|word| word.len() <= LONGEST && is_known(word)));
        assert!(SENSITIVE.iter().all(|word| !is_known(word)));
        assert!(is_known(b"Json_Table") && !is_known(b"") && !is_known(&[b'a'; 64]));
    }
}
